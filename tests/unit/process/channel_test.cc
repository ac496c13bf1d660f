// What the host's end of a channel sends, where the machine allows for little.
#include "channel.h"

#include <poll.h>
#include <sys/socket.h>

#include "process_test.h"

namespace carrel::test {
namespace {

using namespace process;

class NoRun final : public ChildRun {
 public:
  using ChildRun::ChildRun;
  void ended(const Reply& /*reply*/) override {}

 private:
  void ask_to_stop() override {}
  void release() override {}
};

TEST(Channel, ARequestThatIsTooLongForAMessageOfThisMachineComesInAFile) {
  Reactor reactor;
  FdPair ends = socket_pair(SOCK_SEQPACKET);
  const int little = 1;  // the kernel makes it the least that it allows
  setsockopt(ends.first.get(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
  ASSERT_LT(longest_message(ends.first.get()), 10'000U);
  const auto channel = Channel::open(reactor.context(), std::move(ends.first));
  const std::string body(10'000, 'b');
  std::vector<Launch> launches;
  for (int i = 0; i < 50; ++i) {
    Launch& launch = launches.emplace_back();
    launch.head.ask = Ask::kSpawn;
    launch.body = i == 0 ? body : std::string(200, 's');
    launch.run = std::make_shared<NoRun>(
        Task{std::make_shared<Claimed>(), {}, std::make_shared<Recorder>()}, channel);
  }
  ASSERT_TRUE(channel->start(launches));
  std::size_t heard = 0;
  while (heard < launches.size()) {
    pollfd readable{ends.second.get(), POLLIN, 0};
    ASSERT_EQ(poll(&readable, 1, std::chrono::milliseconds(kPatience).count()), 1);
    std::vector<char> buffer(64 * 1024);
    Received received;
    receive_message(ends.second.get(), buffer, received);
    Reader in({buffer.data(), static_cast<std::size_t>(received.size)});
    for (; !in.done(); ++heard) {
      const auto head = in.get<RequestHead>();
      in.get_bytes(head.inline_bytes);
      ASSERT_TRUE(in.ok());
      EXPECT_EQ(head.body_in_file, heard == 0);
    }
    for (std::size_t i = 0; i < received.fd_count; ++i) {
      const UniqueFd file(received.fds[i]);
      std::string read;
      EXPECT_TRUE(read_memory_file(file.get(), read));
      EXPECT_EQ(read, body);
    }
  }
  channel->close();
}

}  // namespace
}  // namespace carrel::test
