#include "unshared_file.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

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

// Each module of a program has this code, and handlers of its own.
TEST(UnsharedFile, AProgramWithSeveralModulesForks) {
  std::string folder =
      (std::filesystem::temp_directory_path() / "carrel_unshared_XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string another = folder + "/another.so";
  std::filesystem::copy_file(PLUGIN_GOOD, another);
  for (const char* module : {PLUGIN_GOOD, another.c_str()}) {
    EXPECT_NE(::dlopen(module, RTLD_NOW | RTLD_LOCAL), nullptr) << ::dlerror();
  }
  std::filesystem::remove_all(folder);
  const auto file = opened();
  ::alarm(20);  // a fork() that never returns
  EXPECT_TRUE(in_child([&] { return file->fd() == -1; }));
  ::alarm(0);
}

TEST(UnsharedFile, WhatCannotBeOpenedSaysWhy) {
  UnsharedFile file;
  EXPECT_FALSE(file.open("/nowhere/at/all", O_RDWR, 0));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(file.fd(), -1);
}

}  // namespace
}  // namespace carrel
