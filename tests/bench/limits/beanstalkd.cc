// beanstalkd as it comes, in memory, started for the occasion: jobs of 200 bytes a
// second.
//
//   limit_beanstalkd drain N     reserve and delete, 4 connections, each both in one
//   write limit_beanstalkd enqueue N   put and wait for its answer, one connection
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kPayload = 200;
constexpr std::size_t kConnections = 4;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

class Server {
 public:
  Server() : port_(free_port()) {
    std::string port = std::to_string(port_);
    std::string words[] = {"beanstalkd", "-l", "127.0.0.1", "-p", port};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    if (posix_spawnp(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
      throw std::runtime_error("beanstalkd is not installed (Debian package beanstalkd)");
    }
  }
  ~Server() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  const std::uint16_t port_;
  pid_t pid_ = -1;
};

class Connection {
 public:
  explicit Connection(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    const auto patience = Clock::now() + std::chrono::seconds(10);
    for (;;) {  // until it listens
      fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        break;
      close(fd_);
      if (Clock::now() > patience) throw std::runtime_error("beanstalkd does not listen");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const int one = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(const std::string& text) const {
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t n = write(fd_, text.data() + sent, text.size() - sent);
      if (n <= 0) throw std::runtime_error("beanstalkd is gone");
      sent += static_cast<std::size_t>(n);
    }
  }
  std::string line() {
    std::size_t end = 0;
    while ((end = in_.find("\r\n", at_)) == std::string::npos) fill();
    std::string text = in_.substr(at_, end - at_);
    at_ = end + 2;
    return text;
  }
  void skip(std::size_t n) {
    while (in_.size() - at_ < n) fill();
    at_ += n;
  }
  void expect(const char* start) {
    if (const std::string text = line(); !text.starts_with(start)) {
      throw std::runtime_error("beanstalkd says " + text);
    }
  }

 private:
  void fill() {
    in_.erase(0, std::exchange(at_, 0));
    char bytes[1 << 16];
    const ssize_t n = read(fd_, bytes, sizeof bytes);
    if (n <= 0) throw std::runtime_error("beanstalkd is gone");
    in_.append(bytes, static_cast<std::size_t>(n));
  }

  int fd_ = -1;
  std::string in_;
  std::size_t at_ = 0;
};

std::string put() {
  return "put 1000 0 60 " + std::to_string(kPayload) + "\r\n" +
         std::string(kPayload, 'x') + "\r\n";
}

void fill(Connection& to, std::size_t jobs) {
  constexpr std::size_t kAtOnce = 100;
  for (std::size_t i = 0; i < jobs; i += kAtOnce) {
    const std::size_t n = std::min(kAtOnce, jobs - i);
    std::string text;
    for (std::size_t k = 0; k < n; ++k) text += put();
    to.send(text);
    for (std::size_t k = 0; k < n; ++k) to.expect("INSERTED");
  }
}

// How many jobs it got.
std::size_t work(std::uint16_t port) {
  const std::string reserve = "reserve-with-timeout 0\r\n";
  Connection connection(port);
  connection.send(reserve);
  for (std::size_t done = 0;; ++done) {
    const std::string got = connection.line();
    unsigned long long id = 0;
    std::size_t bytes = 0;
    if (std::sscanf(got.c_str(), "RESERVED %llu %zu", &id, &bytes) != 2) return done;
    connection.skip(bytes + 2);
    connection.send("delete " + std::to_string(id) + "\r\n" + reserve);
    connection.expect("DELETED");
  }
}

double drain(std::size_t jobs) {
  const Server server;
  Connection producer(server.port());
  fill(producer, jobs);
  std::atomic<std::size_t> done{0};
  const auto begin = Clock::now();
  std::vector<std::jthread> workers;
  for (std::size_t i = 0; i < kConnections; ++i) {
    workers.emplace_back([&] { done += work(server.port()); });
  }
  workers.clear();
  const std::chrono::duration<double> took = Clock::now() - begin;
  if (done != jobs) throw std::runtime_error("beanstalkd kept jobs back");
  return static_cast<double>(jobs) / took.count();
}

double enqueue(std::size_t jobs) {
  const Server server;
  Connection producer(server.port());
  const std::string text = put();
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < jobs; ++i) {
    producer.send(text);
    producer.expect("INSERTED");
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  return static_cast<double>(jobs) / took.count();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc == 3 ? argv[1] : "";
  if (command != "drain" && command != "enqueue") {
    std::fputs("usage: limit_beanstalkd drain|enqueue JOBS\n", stderr);
    return 2;
  }
  try {
    const auto jobs = std::strtoull(argv[2], nullptr, 10);
    std::printf("%.6g\n", command == "drain" ? drain(jobs) : enqueue(jobs));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "limit_beanstalkd: %s\n", e.what());
    return 1;
  }
}
