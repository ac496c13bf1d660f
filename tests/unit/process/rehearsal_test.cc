// What a server does once before it serves: it leaves nothing behind.
#include "rehearsal.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iterator>

#include "support.h"

namespace carrel::test {
namespace {

// As a server has them.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  std::signal(SIGCHLD, SIG_DFL);
}

// 0 where this process has none.
int no_child() {
  return waitpid(-1, nullptr, WNOHANG | __WALL) == -1 && errno == ECHILD ? 0 : 1;
}

std::ptrdiff_t descriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return std::distance(begin(open), end(open));
}

TEST(Rehearsal, LeavesNoChildAndNoDescriptor) {
  EXPECT_EQ(status_in_child([] {
              block_signals();
              const auto before = descriptors();
              process::rehearse();
              return descriptors() == before ? no_child() : 2;
            }),
            0);
}

// As by a fork handler of some library.
TEST(Rehearsal, AChildThatHangsIsKilled) {
  EXPECT_EQ(status_in_child([] {
              static const pid_t parent = getpid();
              pthread_atfork(nullptr, nullptr, [] {
                while (getpid() != parent) pause();
              });
              block_signals();
              process::rehearse();
              waitpid(-1, nullptr, __WALL);  // it has been killed
              return no_child();
            }),
            0);
}

TEST(Rehearsal, IsLeftOutWithoutDescriptors) {
  EXPECT_EQ(status_in_child([] {
              block_signals();
              rlimit files{};
              getrlimit(RLIMIT_NOFILE, &files);
              files.rlim_cur = static_cast<rlim_t>(descriptors()) - 1;
              setrlimit(RLIMIT_NOFILE, &files);
              process::rehearse();
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace carrel::test
