// A closure in a direct fork of a host that has threads.
#include <carrel/fork_to.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "frame.h"
#include "handlers.h"
#include "os.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

using ForkToTest = ProcessTest;

// What comes out of stdout meanwhile, until nobody writes to it any more.
std::string printed_by(const std::function<void()>& act) {
  std::fflush(stdout);
  const process::UniqueFd before(dup(STDOUT_FILENO));
  const process::UniqueFd file(memfd_create("stdout", MFD_CLOEXEC));
  dup2(file.get(), STDOUT_FILENO);
  act();
  std::fflush(stdout);
  dup2(before.get(), STDOUT_FILENO);
  std::string text;
  process::read_memory_file(file.get(), text);
  return text;
}

TEST_F(ForkToTest, AValueOfTheCallersMemoryComesBack) {
  int seen = 41;
  const Result<int> one = fork_to(kPatience, [&] { return ++seen; });
  EXPECT_EQ(one.value(), 42);
  EXPECT_EQ(seen, 41) << "the child has a memory of its own";
  const Result<std::vector<std::string>> many = fork_to(kPatience, [] {
    return std::vector<std::string>{"a", "b"};
  });
  EXPECT_EQ(many.value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(fork_to(kPatience, [] {}));
  EXPECT_TRUE(fork_to(kPatience, []() -> Result<void> { return {}; }));
  EXPECT_EQ(fork_to(kPatience, [] { return std::string(5 << 20, 'x'); })->size(),
            5U << 20);
}

// Context::remaining() is that of a job without a limit.
TEST_F(ForkToTest, TheLongestTimeIsNoTimeOut) {
  EXPECT_EQ(fork_to(Duration::max(), [] { return 7; }).value(), 7);
}

TEST_F(ForkToTest, ErrorsComeBackTyped) {
  const auto said = fork_to(kPatience, []() -> Result<int> {
    return tl::unexpected<Error>(Error{Code::kNotFound, "no such user", "ldap", 32, 9s});
  });
  EXPECT_EQ(said.error().code, Code::kNotFound);
  EXPECT_EQ(said.error().message, "no such user");
  EXPECT_EQ(said.error().native, 32);
  const auto thrown =
      fork_to(kPatience, []() -> int { throw std::runtime_error("no good"); });
  EXPECT_EQ(thrown.error().message, "no good");
  struct SaysNothing : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  const auto silent = fork_to(kPatience, []() -> int { throw SaysNothing(); });
  EXPECT_EQ(silent.error().message, "an exception that says nothing");
}

TEST_F(ForkToTest, NoTimeLeftIsATimeOut) {
  bool before = false;
  ForkHooks hooks;
  hooks.before = [&] { before = true; };
  const auto late = fork_to(
      -1us, [] { return 1; }, hooks);
  EXPECT_EQ(late.error().code, Code::kTimeout);
  EXPECT_FALSE(before) << "nothing is forked for it";
}

TEST_F(ForkToTest, WhatIsNoValueAsJsonIsAnError) {
  const auto said = fork_to(kPatience, [] { return std::nan(""); });
  EXPECT_EQ(said.error().code, Code::kInvalid);
  EXPECT_THAT(said.error().message, testing::HasSubstr("number"));
}

// Its process waits for somebody to read what it says.
TEST_F(ForkToTest, AnAnswerForWhichThereIsNoMemory_Unavailable) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's address space cannot be limited";
  EXPECT_EQ(status_in_child([] {
              constexpr rlim_t kMore = 16U << 20;
              const rlimit small{process::mapped_bytes() + kMore, RLIM_INFINITY};
              setrlimit(RLIMIT_AS, &small);
              const auto said = fork_to(kPatience, [] {
                const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
                setrlimit(RLIMIT_AS, &large);
                return std::string(4 * kMore, 'x');
              });
              if (said || said.error().code != Code::kUnavailable) return 1;
              return waitpid(-1, nullptr, WNOHANG) == -1 ? 0 : 2;
            }),
            0);
}

TEST_F(ForkToTest, ACrashAnExitAndAHangAreErrors) {
  const auto crashed = fork_to(kPatience, [] { std::abort(); });
  EXPECT_EQ(crashed.error().code, Code::kFailed);
  EXPECT_EQ(crashed.error().native, SIGABRT);
  EXPECT_EQ(fork_to(kPatience, [] { _exit(0); }).error().code, Code::kFailed);
  const auto hung = fork_to(50ms, [] {
    std::signal(SIGTERM, SIG_IGN);
    for (;;) pause();
  });
  EXPECT_EQ(hung.error().code, Code::kTimeout);
}

// The child's only descriptor but stdio.
void say(std::string_view bytes) {
  int fd = STDERR_FILENO + 1;
  while (fcntl(fd, F_GETFD) < 0) ++fd;
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0) _exit(1);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

// Each would go on for ever: that it ends shows that it is killed.
TEST_F(ForkToTest, WhatIsNoAnswerIsRefusedAsItComes) {
  using process::encode_frame_header;
  using process::FrameType;
  const auto before = resident_bytes_of(getpid());
  const auto promised = fork_to(kPatience, [] {
    say(encode_frame_header(FrameType::kResult, 1ULL << 32));
    for (;;) pause();
  });
  EXPECT_EQ(promised.error().code, Code::kTooLarge);
  const std::string much(1 << 20, 'x');
  const auto garbage = fork_to(kPatience, [&] {
    for (;;) say(much);
  });
  EXPECT_EQ(garbage.error().code, Code::kFailed);
  EXPECT_NE(garbage.error().message.find("no frame"), std::string::npos);
  const auto more = fork_to(kPatience, [&] {
    say(encode_frame_header(FrameType::kResult, 1));
    for (;;) say(much);
  });
  EXPECT_EQ(more.error().code, Code::kFailed);
  EXPECT_NE(more.error().message.find("after its answer"), std::string::npos);
  EXPECT_LT(resident_bytes_of(getpid()), before + (32U << 20));
}

struct CountsItsEnd {
  ~CountsItsEnd() { ++counted_exits(); }
};

TEST_F(ForkToTest, Case11_Exit_NothingOfTheHostRuns) {
  const auto exits = [](auto leave) { return fork_to(kPatience, [leave] { leave(); }); };
  const auto says_and_exits = [] {
    std::printf("said before it left;");
    std::exit(3);
  };
  const auto printed = printed_by([&] {
    EXPECT_EQ(exits(says_and_exits).error().code, Code::kFailed);
    // Says nothing: the thread sanitizer prints what is buffered where others do not.
    EXPECT_EQ(exits([] { std::quick_exit(3); }).error().code, Code::kFailed);
    std::thread([&] {
      thread_local CountsItsEnd own;
      EXPECT_EQ(exits(says_and_exits).error().code, Code::kFailed);
      EXPECT_EQ(counted_exits(), 0);
    }).join();
  });
  EXPECT_EQ(counted_exits().exchange(0), 1) << "the thread's own, in the host";
  EXPECT_EQ(printed, "said before it left;said before it left;");
}

TEST_F(ForkToTest, Case11_ExitOfAChildOfTheChild_NothingOfItRuns) {
  const auto exits = fork_to(kPatience, [] {
    thread_local CountsItsEnd own;
    const auto code = fork_to(kPatience, [] { std::exit(3); }).error().code;
    return std::pair(code == Code::kFailed, counted_exits().exchange(0));
  });
  EXPECT_EQ(exits.value(), std::pair(true, 0));
}

TEST_F(ForkToTest, ExitOfAProcessThatItForks_ItsCodeIsItsOwn) {
  const auto status = fork_to(kPatience, [] {
    int ended = 0;
    const pid_t pid = fork();
    if (pid == 0) std::exit(5);
    waitpid(pid, &ended, 0);
    return ended;
  });
  EXPECT_EQ(WEXITSTATUS(status.value()), 5);
}

TEST_F(ForkToTest, Case12_BufferedPrintfBeforeTheFork_PrintedOnce) {
  const auto printed = printed_by([] {
    std::printf("before the fork;");
    EXPECT_TRUE(fork_to(kPatience, [] { std::printf("from the child;"); }));
  });
  EXPECT_EQ(printed, "from the child;before the fork;");
}

TEST_F(ForkToTest, Case20_MutexHeldElsewhere_Direct_TimeOut) {
  std::mutex mutex;
  const std::lock_guard held(mutex);
  std::thread([&] {
    const auto out = fork_to(50ms, [&] { std::lock_guard lock(mutex); });
    EXPECT_EQ(out.error().code, Code::kTimeout);
  }).join();
}

TEST_F(ForkToTest, ThreadsThatAllocateAndPrintDoNotHangIt) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&stop, i] {
      while (!stop) {
        std::free(std::malloc(1000));
        char text[64];
        std::snprintf(text, sizeof text, "%d", i);
        std::fprintf(stderr, "%s", "");
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(
        fork_to(kPatience, [&] { return std::string(1000, 'x').size() + i; }).value(),
        1000U + i);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

TEST_F(ForkToTest, AHostThatIgnoresSigchldOrWaitsForAnyGetsItsAnswer) {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ignore.sa_flags = SA_NOCLDWAIT;
  sigaction(SIGCHLD, &ignore, &before);
  EXPECT_EQ(fork_to(kPatience, [] { return 5; }).value(), 5);
  EXPECT_EQ(fork_to(kPatience, [] { std::abort(); }).error().code, Code::kFailed);
  sigaction(SIGCHLD, &before, nullptr);
  std::atomic<bool> stop{false};
  std::thread thief([&] {
    while (!stop) waitpid(-1, nullptr, WNOHANG);
  });
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(fork_to(kPatience, [&] { return i; }).value(), i);
  stop = true;
  thief.join();
}

// What a closure says of a process that it leaves in its group.
pid_t leave_a_process() {
  const pid_t pid = fork();
  while (pid == 0) pause();
  return pid;
}

TEST_F(ForkToTest, WhatItLeftInItsGroupIsDead) {
  const auto left = fork_to(kPatience, leave_a_process);
  EXPECT_TRUE(eventually([&] { return !exists(left.value()); }));
}

TEST_F(ForkToTest, WhereSigchldIsIgnored_WhatItLeftInItsGroupIsDead) {
  const int self = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  constexpr unsigned kProcessGroup = 1U << 2;
  const bool can = syscall(SYS_pidfd_send_signal, self, 0, nullptr, kProcessGroup) == 0 ||
                   errno != EINVAL;
  close(self);
  if (!can) GTEST_SKIP() << "pidfd_send_signal: it reaches no group before Linux 6.9";
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &before);
  const auto left = fork_to(kPatience, leave_a_process);
  void* const page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* const said = static_cast<std::atomic<pid_t>*>(page);
  Result<void> late;
  for (auto timeout = 100ms; said->load() == 0 && timeout < 60s; timeout *= 2) {
    late = fork_to(timeout, [&] {
      *said = leave_a_process();
      for (;;) pause();
    });
  }
  sigaction(SIGCHLD, &before, nullptr);
  EXPECT_EQ(late.error().code, Code::kTimeout);
  ASSERT_NE(said->load(), 0) << "it had no time to leave one";
  EXPECT_TRUE(eventually([&] { return !exists(said->load()); }));
  EXPECT_TRUE(eventually([&] { return !exists(left.value()); }));
  munmap(page, 4096);
}

TEST_F(ForkToTest, HooksRunAroundTheFork) {
  std::string order;
  ForkHooks hooks;
  hooks.before = [&] { order += "before,"; };
  hooks.in_parent = [&] { order += "parent"; };
  hooks.in_child = [&] { order += "child"; };
  EXPECT_EQ(fork_to(
                kPatience, [&] { return order; }, hooks)
                .value(),
            "before,child");
  EXPECT_EQ(order, "before,parent");
  bool blocked = false;
  hooks.in_child = [&] {
    sigset_t now;
    sigprocmask(SIG_SETMASK, nullptr, &now);
    blocked = sigismember(&now, SIGTERM) == 1;
  };
  EXPECT_TRUE(fork_to(
                  kPatience, [&] { return blocked; }, hooks)
                  .value());
  hooks.in_child = [] { throw std::runtime_error("no connection"); };
  EXPECT_EQ(fork_to(
                kPatience, [] {}, hooks)
                .error()
                .message,
            "no connection");
}

TEST_F(ForkToTest, AHookThatThrowsInTheParentLeavesNoChild) {
  ForkHooks hooks;
  hooks.in_parent = [] { throw std::runtime_error("no"); };
  EXPECT_THROW(fork_to(
                   kPatience, [] { return 1; }, hooks),
               std::runtime_error);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(ForkToTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      for (int k = 0; k < 10; ++k) {
        EXPECT_EQ(fork_to(kPatience, [&] { return 100 * i + k; }).value(), 100 * i + k);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace carrel::test
