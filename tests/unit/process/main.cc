// Runs as root, and again as an ordinary user: --as-user gives up being root first. The
// server is forked before there is any thread, as a host would. It inherits what a
// careless host has by then: SIGTERM blocked, SIGINT ignored, a socket that listens, a
// lock, exit functions.
#include <carrel/process.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "handlers.h"
#include "support.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  const bool as_user = argc > 1 && std::strcmp(argv[1], "--as-user") == 0;
  if (as_user && !carrel::test::become_ordinary(carrel::test::kOrdinaryOfProcess)) {
    std::perror("--as-user");
    return 1;
  }
  sigset_t term;
  sigset_t before;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &term, &before);
  std::signal(SIGINT, SIG_IGN);
  carrel::test::open_early_listener();
  carrel::test::take_early_lock();
  carrel::test::count_exits();
  const auto made = carrel::prefork([](carrel::Handlers& handlers) {
    carrel::test::add_handlers(handlers);
    carrel::test::add_hooks(handlers);
  });
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::signal(SIGINT, SIG_DFL);
  return RUN_ALL_TESTS();
}
