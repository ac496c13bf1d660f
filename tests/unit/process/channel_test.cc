// What the host's end of a channel sends, where the machine allows for little.
#include "channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "process_server.h"
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
  bool is_held() const override { return false; }
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

int open_sockets() {
  int sockets = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    struct stat about {};
    sockets += fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode) ? 1 : 0;
  }
  return sockets;
}

// A copy of the server's end would hide the server's death from the host.
TEST(Channel, NoForkOfTheHostGetsTheServersEnd) {
  const int before = open_sockets();
  std::atomic<int> connected{0};
  std::atomic<bool> over{false};
  std::thread connects([&] {
    while (!over) connected += connect() ? 1 : 0;
  });
  for (int forks = 0; forks < 100 || connected < 100; ++forks) {
    const pid_t pid = fork();
    if (pid == 0) _exit(open_sockets() - before);
    if (pid < 0) break;
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_LE(WEXITSTATUS(status), 1) << "this end, and no other";
  }
  over = true;
  connects.join();
  EXPECT_GE(connected, 100);
}

}  // namespace
}  // namespace carrel::test
