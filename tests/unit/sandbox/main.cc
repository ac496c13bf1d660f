// Runs as root, and again as an ordinary user: --as-user gives up being root first. The
// process server is forked before there is any thread.
#include <carrel/process.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "handlers.h"

namespace {

constexpr unsigned kOrdinary = 65533;

bool become_ordinary() {
  if (geteuid() != 0) return true;
  return setgroups(0, nullptr) == 0 && setresgid(kOrdinary, kOrdinary, kOrdinary) == 0 &&
         setresuid(kOrdinary, kOrdinary, kOrdinary) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  const bool as_user = argc > 1 && std::strcmp(argv[1], "--as-user") == 0;
  if (as_user && !become_ordinary()) {
    std::perror("--as-user");
    return 1;
  }
  const auto made = carrel::prefork(carrel::test::add_handlers);
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
