// What a forked child says and hears, without a process of its own.
#include "child_pipe.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <future>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>

#include "wire.h"

namespace carrel::process {
namespace {

constexpr std::uint64_t kRun = 7;
constexpr std::size_t kBound = std::size_t{8} << 20;

// A child's pipe, and the host's end of it.
struct Child {
  Child() : ends(socket_pair(SOCK_STREAM)), pipe(ends.second.get(), kRun, kBound, false) {
    EXPECT_TRUE(ends.first);
  }
  void ask_to_stop() const {
    JobHead stop;
    stop.what = JobHead::What::kStop;
    stop.run = kRun;
    EXPECT_EQ(send(ends.first.get(), &stop, sizeof stop, 0),
              static_cast<ssize_t>(sizeof stop));
  }

  const FdPair ends;
  ChildPipe pipe;
};

TEST(ChildPipeTest, WithNoDescriptorLeftThereIsNoStopTokenAndTheJobGoesOn) {
  Child child;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  EXPECT_THROW(child.pipe.stop(), std::system_error);
  EXPECT_FALSE(child.pipe.stopping());
  setrlimit(RLIMIT_NOFILE, &before);

  std::promise<void> asked;
  const std::stop_token token = child.pipe.stop();
  const std::stop_callback heard(token, [&] { asked.set_value(); });
  child.ask_to_stop();
  asked.get_future().wait();
  EXPECT_TRUE(child.pipe.stopping());
}

// The cases that follow hang where they fail.

void ask_and_report(ChildPipe& pipe) {
  EXPECT_TRUE(pipe.stop().stop_requested());
  EXPECT_TRUE(pipe.stopping());
  pipe.log("asked to stop");
  for (int i = 0; i < 20; ++i) pipe.progress(0.5F, "");  // the last are held back
}

TEST(ChildPipeTest, ACallbackOfItsOwnThreadMayAskAndReport) {
  Child child;
  std::promise<void> reported;
  const std::stop_token token = child.pipe.stop();
  const std::stop_callback heard(token, [&] {
    ask_and_report(child.pipe);
    reported.set_value();
  });
  child.ask_to_stop();
  reported.get_future().wait();
}

// Who asks for the token at the moment at which its own thread hears of the stop may come
// first with the callbacks.
TEST(ChildPipeTest, ACallbackOfWhoAsksForTheTokenMayAskAndReport) {
  for (std::thread::id caller; caller != std::this_thread::get_id();) {
    Child child;
    std::promise<void> reported;
    const std::stop_token token = child.pipe.stop();
    const std::stop_callback heard(token, [&] {
      caller = std::this_thread::get_id();
      ask_and_report(child.pipe);
      reported.set_value();
    });
    child.ask_to_stop();
    while (!child.pipe.stop().stop_requested()) {
    }
    reported.get_future().wait();
  }
}

TEST(ChildPipeTest, AStopIsHeardWhileSomebodyWaitsForTheHostToRead) {
  Child child;
  std::thread sender([&] { child.pipe.checkpoint(std::string(kBound, 'c')); });
  std::array<char, 4096> bytes{};
  std::size_t read = 1;
  EXPECT_EQ(recv(child.ends.first.get(), bytes.data(), 1, 0), 1)
      << "it has begun to send";
  EXPECT_FALSE(child.pipe.stopping());
  std::promise<void> asked;
  const std::stop_token token = child.pipe.stop();
  const std::stop_callback heard(token, [&] { asked.set_value(); });
  child.ask_to_stop();
  asked.get_future().wait();
  EXPECT_TRUE(child.pipe.stopping());
  while (read < kFrameHeader + kBound) {
    const ssize_t n = recv(child.ends.first.get(), bytes.data(), bytes.size(), 0);
    ASSERT_GT(n, 0);
    read += static_cast<std::size_t>(n);
  }
  sender.join();
}

}  // namespace
}  // namespace carrel::process
