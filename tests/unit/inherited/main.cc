// The process server is forked before there is any thread, as in unit_process.
#include <carrel/process.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "handlers.h"
#include "inherited.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
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
