// The unit is one that systemd takes.
#include <gtest/gtest.h>
#include <trial/scratch.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>

namespace grader {
namespace {

TEST(Service, ItsUnitIsOneThatSystemdTakes) {
  const char* verifier = "/usr/bin/systemd-analyze";
  if (!std::filesystem::exists(verifier)) GTEST_SKIP() << "needs " << verifier;
  const trial::Folder folder("carrel-unit");
  const auto unit = folder.path() / "grader.service";
  // It names the program where it will be installed.
  std::ofstream(unit) << std::regex_replace(trial::content_of(GRADER_UNIT),
                                            std::regex("ExecStart=[^ ]+"),
                                            "ExecStart=" GRADER_PROGRAM);
  // What it finds it writes to stderr, of this unit and of others.
  const std::string command = std::string(verifier) + " verify " + unit.string() +
                              " 2>&1 | grep -F grader.service";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> said(
      ::popen(command.c_str(), "r"), ::pclose);
  std::array<char, 1000> line{};
  EXPECT_EQ(std::fgets(line.data(), line.size(), said.get()), nullptr) << line.data();
}

}  // namespace
}  // namespace grader
