// What a program finds in a sandbox, and what it is told of.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

using SandboxBasics = SandboxTest;

TEST_F(SandboxBasics, AProgramRunsWithInputOutputAndAFolder) {
  REQUIRE_SANDBOX(profile);
  const Outcome out =
      run({"sh", "-c", "cat; pwd >&2; id -u >&2; echo $HOME $TMPDIR >&2"}, R"({"a":1})");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.stderr_tail;
  EXPECT_EQ(out.result, R"({"a":1})");
  EXPECT_EQ(out.stderr_tail, "/tmp/work\n1000\n/tmp/work /tmp\n");
  ASSERT_TRUE(out.enforced);
  expect_control_job();
}

// As where a shim in the user's home goes before /usr/bin.
TEST_F(SandboxBasics, AProgramIsLookedForInWhatItsSandboxSees) {
  REQUIRE_SANDBOX(profile);
  const auto folder = std::filesystem::temp_directory_path() /
                      ("carrel-shims-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  for (const char* name : {"sh", "tool"}) {
    std::ofstream(folder / name) << "#!/bin/sh\necho from the host\n";
    chmod((folder / name).c_str(), 0755);
  }
  chmod(folder.c_str(), 0755);
  spec.env["PATH"] = folder.string() + ":/usr/bin";
  EXPECT_EQ(text_of(run({"sh", "-c", "echo from /usr"})), "from /usr");
  const Outcome unseen = run({"tool"});
  EXPECT_EQ(unseen.klass, OutcomeClass::kSpawnError);
  EXPECT_EQ(
      unseen.error.message,
      "tool cannot be started: No such file or directory (errno 2); its sandbox sees "
      "/usr and the mounts of its profile");
  spec.env["PATH"] = "/tools:/usr/bin";
  profile.mounts.push_back({folder, "/tools", true});
  EXPECT_EQ(text_of(run({"tool"})), "from the host");
  spec.env["PATH"] = "/alone:/usr/bin";
  profile.mounts.back() = {folder / "tool", "/alone/tool", true};
  EXPECT_EQ(text_of(run({"tool"})), "from the host") << "a file is a mount, too";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace carrel::test
