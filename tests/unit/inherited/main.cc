// Runs as root, and again as an ordinary user: --as-user gives up being root first. The
// process server is forked before there is any thread, as in unit_process.
#include <carrel/process.h>
#include <gtest/gtest.h>
#include <pwd.h>

#include <cstdio>
#include <cstring>

#include "handlers.h"
#include "inherited.h"
#include "support.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  const bool as_user = argc > 1 && std::strcmp(argv[1], "--as-user") == 0;
  // Of the machine's list: PostgreSQL runs as nobody else.
  const passwd* const user = getpwnam("daemon");
  if (as_user && (user == nullptr || !carrel::test::become_ordinary(user->pw_uid))) {
    std::perror("--as-user");
    return 1;
  }
  const auto made = carrel::prefork([](carrel::Handlers& handlers) {
    carrel::test::add_handlers(handlers);
    carrel::test::add_inherited_handlers(handlers);
  });
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
