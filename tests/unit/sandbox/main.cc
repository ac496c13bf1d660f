// Runs as root, and again as an ordinary user: --as-user gives up being root first. The
// process server is forked before there is any thread.
#include <carrel/process.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "handlers.h"
#include "other_host.h"
#include "setuid_program.h"
#include "support.h"

int main(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  constexpr std::string_view kPlay = "--play-host=";
  if (first.starts_with(kPlay)) {
    return carrel::test::play_host(first.substr(kPlay.size()));
  }
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  const bool as_user = argc > 1 && std::strcmp(argv[1], "--as-user") == 0;
  // While this is root: whoever runs it would be. Only where it is asked for, since a
  // test that is killed leaves it.
  std::optional<carrel::test::SetuidProgram> setuid_program;
  const std::string filter = GTEST_FLAG_GET(filter);
  if (filter.find('*') != std::string::npos ||
      filter.find("Case56") != std::string::npos) {
    setuid_program.emplace(as_user ? carrel::test::kOrdinaryOfSandbox : geteuid());
  }
  if (as_user && !carrel::test::become_ordinary(carrel::test::kOrdinaryOfSandbox)) {
    std::perror("--as-user");
    return 1;
  }
  // What every process from here on has, and no program in a sandbox.
  setenv("CARREL_TEST_SECRET", "s3cret", 1);
  const auto made = carrel::prefork(carrel::test::add_handlers);
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
