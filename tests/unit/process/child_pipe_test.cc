// What a forked child says and hears, without a process of its own.
#include "child_pipe.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <future>
#include <stop_token>
#include <system_error>

#include "wire.h"

namespace carrel::process {
namespace {

TEST(ChildPipeTest, WithNoDescriptorLeftThereIsNoStopTokenAndTheJobGoesOn) {
  constexpr std::uint64_t kRun = 7;
  const FdPair ends = socket_pair(SOCK_STREAM);
  ASSERT_TRUE(ends.first);
  ChildPipe pipe(ends.second.get(), kRun, 1024, false);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  EXPECT_THROW(pipe.stop(), std::system_error);
  EXPECT_FALSE(pipe.stopping());
  setrlimit(RLIMIT_NOFILE, &before);

  std::promise<void> asked;
  const std::stop_token token = pipe.stop();
  const std::stop_callback heard(token, [&] { asked.set_value(); });
  JobHead stop;
  stop.what = JobHead::What::kStop;
  stop.run = kRun;
  ASSERT_EQ(send(ends.first.get(), &stop, sizeof stop, 0),
            static_cast<ssize_t>(sizeof stop));
  asked.get_future().wait();
  EXPECT_TRUE(pipe.stopping());
}

}  // namespace
}  // namespace carrel::process
