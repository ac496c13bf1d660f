#include "unshared_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>

namespace carrel {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// What a child of a fork finds.
bool in_child(const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(holds() ? 0 : 1);
  int status = 1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

std::unique_ptr<UnsharedFile> opened() {
  auto file = std::make_unique<UnsharedFile>();
  EXPECT_TRUE(file->open("/dev/null", O_RDWR, 0)) << errno;
  return file;
}

TEST(UnsharedFile, AChildOfAForkHasItNot) {
  const auto file = opened();
  const int fd = file->fd();
  EXPECT_TRUE(in_child([&] { return !is_open(fd) && file->fd() == -1; }));
  EXPECT_TRUE(is_open(fd));
  EXPECT_EQ(file->fd(), fd);
}

TEST(UnsharedFile, AChildsOwnAreNotItsChildrens) {
  const auto parents = opened();
  EXPECT_TRUE(in_child([] {
    const auto own = opened();
    const int fd = own->fd();
    return is_open(fd) && in_child([&] { return !is_open(fd); }) && is_open(fd);
  }));
}

TEST(UnsharedFile, WhatHasItsNumberLaterIsLeftToTheChild) {
  const auto first = opened();
  auto second = opened();
  const auto third = opened();
  const int number = second->fd();
  second.reset();
  ASSERT_FALSE(is_open(number));
  const int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(other, number);
  EXPECT_TRUE(in_child(
      [&] { return is_open(number) && first->fd() == -1 && third->fd() == -1; }));
  ::close(other);
}

TEST(UnsharedFile, WhatCannotBeOpenedSaysWhy) {
  UnsharedFile file;
  EXPECT_FALSE(file.open("/nowhere/at/all", O_RDWR, 0));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(file.fd(), -1);
}

}  // namespace
}  // namespace carrel
