// Where a broker listens, and for whom.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../sql/sqlite_files.h"
#include "broker_case.h"

namespace carrel::zmq {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Error refusal_of(const std::string& endpoint) {
  BrokerOptions options;
  options.listen = {endpoint};
  auto broker = Broker::start(options, nullptr);
  if (!broker) return broker.error();
  ADD_FAILURE() << endpoint << " is " << (*broker)->endpoints()[0];
  return {};
}

TEST(BrokerListens, AnAddressThatIsNoneIsRefused) {
  for (const char* endpoint :
       {"tcp://127.0.0.1:99999", "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:", "tcp://127.0.0.1", "tcp://127.0.0.1:1x"}) {
    const Error error = refusal_of(endpoint);
    EXPECT_EQ(error.code, Code::kInvalid);
    EXPECT_THAT(error.message, AllOf(HasSubstr(endpoint), HasSubstr("a port")));
  }
  for (const char* endpoint : {"127.0.0.1:5555", "udp://127.0.0.1:5555", ""}) {
    EXPECT_THAT(refusal_of(endpoint).message, HasSubstr("tcp://ADDRESS:PORT"));
  }
}

class SocketFileTest : public testing::Test {
 protected:
  std::size_t files() const {
    const std::filesystem::directory_iterator all(
        std::filesystem::path(file("x")).parent_path());
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  std::string file(const std::string& name) const { return directory_.file(name); }

  const test::TemporaryDirectory directory_;
};

TEST_F(SocketFileTest, AFileInItsPlaceIsKept) {
  std::ofstream(file("jobs.db")) << "precious";
  std::filesystem::create_symlink("jobs.db", file("link"));
  for (const std::string& path :
       {file("jobs.db"), file("link"),
        std::filesystem::path(file("x")).parent_path().string()}) {
    const Error error = refusal_of("ipc://" + path);
    EXPECT_EQ(error.code, Code::kInvalid);
    EXPECT_THAT(error.message, HasSubstr(path + " is there, and is no socket"));
  }
  std::string text;
  std::ifstream(file("link")) >> text;
  EXPECT_EQ(text, "precious");
  EXPECT_EQ(files(), 2U) << "and no lock beside it";
}

TEST_F(SocketFileTest, APathThatIsTooLongIsNamed) {
  const std::string path = file(std::string(120, 'x'));
  const Error error = refusal_of("ipc://" + path);
  EXPECT_EQ(error.code, Code::kInvalid);
  EXPECT_THAT(error.message, AllOf(HasSubstr(path), HasSubstr("107 at most")));
  EXPECT_EQ(files(), 0U);
}

TEST_F(SocketFileTest, WhatABrokerLeftBehindIsTakenOver) {
  BrokerOptions options;
  options.listen = {"ipc://" + file("sock")};
  test::start_broker(nullptr, options).reset();
  ASSERT_TRUE(std::filesystem::is_socket(file("sock")));
  EXPECT_TRUE(Broker::start(options, nullptr));
}

// The broker's end of each connection to it from within this process.
std::vector<int> accepted_by(const std::string& endpoint) {
  const int port = std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  std::vector<int> fds;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in own{};
    sockaddr_in peer{};
    socklen_t own_size = sizeof own;
    socklen_t peer_size = sizeof peer;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
        getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
        own.sin_family == AF_INET && ntohs(own.sin_port) == port) {
      fds.push_back(fd);
    }
  }
  return fds;
}

TEST_F(BrokerTest, APeerThatSaysNothingIsAskedWhetherItIsThere) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  const auto connections = accepted_by(endpoint());
  ASSERT_EQ(connections.size(), 1U);
  int is_asked = 0;
  socklen_t size = sizeof is_asked;
  ASSERT_EQ(getsockopt(connections[0], SOL_SOCKET, SO_KEEPALIVE, &is_asked, &size), 0);
  EXPECT_NE(is_asked, 0) << "or its connection would stay when its host is gone";
}

}  // namespace
}  // namespace carrel::zmq
