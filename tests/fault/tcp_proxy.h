// A TCP proxy that breaks connections in known ways.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace carrel::fault {

// Threads: every call is safe beside every other. One thread of its own forwards.
class TcpProxy {
 public:
  enum class Mode {
    kPass,
    kDelay,      // every byte comes 200 ms late
    kBlackHole,  // what is sent is taken and never arrives; nobody is told
    kHalfOpen,   // the server's ends are closed, the clients' stay and hear nothing
    kCut,        // all connections are reset, and none is made
  };

  // Listens on a free port of 127.0.0.1, for a server on another.
  explicit TcpProxy(std::uint16_t server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  // From kBlackHole and kHalfOpen to kPass, old connections are reset: what they lost
  // cannot be made good.
  void set(Mode mode) noexcept { mode_ = mode; }

 private:
  struct Chunk {
    std::chrono::steady_clock::time_point due;
    std::string bytes;
  };
  struct Pair {
    int client = -1;
    int server = -1;
    bool spoilt = false;  // bytes were lost
    std::vector<Chunk> to_client;
    std::vector<Chunk> to_server;
  };

  void run();
  void accept_one();
  void take(Pair& pair, bool from_client);
  static bool give(int fd, std::vector<Chunk>& chunks);
  static void close_pair(Pair& pair);

  const std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<Mode> mode_{Mode::kPass};
  std::atomic<bool> stopping_{false};
  std::vector<Pair> pairs_;
  std::thread thread_;
};

}  // namespace carrel::fault
