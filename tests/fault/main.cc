#include <gtest/gtest.h>

#include <csignal>

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a child that was killed does not read
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
