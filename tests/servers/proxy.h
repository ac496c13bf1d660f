// A TCP proxy on 127.0.0.1 whose line a test can cut, or make swallow everything.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace carrel::test {

class Proxy {
 public:
  explicit Proxy(int to_port);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  int port() const { return port_; }

  // How often clients have sent something: of those that wait for each answer, how many
  // round trips there were.
  int sent() const { return sent_; }
  // The most bytes that a client was sent between two things that it sent.
  std::size_t longest_answer() const { return longest_answer_; }

  // The next time that a client sends `text`, act() runs before it passes, on the proxy's
  // thread: nothing else passes meanwhile.
  void before(std::string text, std::function<void()> act);

  // Ends every connection there is, as a router does that was restarted; both ends have
  // heard of it when this returns.
  void cut();
  // From now on nothing passes, and nobody hears of it: the ends keep their connections,
  // and new ones are taken and left alone. Until pass().
  void swallow() { swallowing_ = true; }
  // What servers send stays where it is, until let_go(); what clients send passes.
  void hold_answers();
  void let_go();
  // New connections pass again; what was swallowed is lost with its connection.
  void pass();

 private:
  struct Line {
    int client;
    int server;
    std::size_t answer = 0;  // so far
  };
  void loop();
  void wake();
  // What there is to pass on, in the buffer; none: the line is to end.
  std::optional<std::string_view> receive(int from);
  static bool send_on(std::string_view bytes, int to);
  void look_for_text(std::string_view sent);
  bool forward_sent(Line& line);
  bool forward_answer(Line& line);

  const int to_port_;
  int listener_ = -1;
  int port_ = 0;
  int wake_[2] = {-1, -1};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> swallowing_{false};
  std::atomic<bool> cutting_{false};
  std::atomic<bool> holding_{false};
  std::atomic<int> sent_{0};
  std::atomic<std::size_t> longest_answer_{0};
  std::mutex mutex_;
  std::string text_;  // empty: none is waited for
  std::function<void()> act_;
  std::vector<Line> lines_;  // of the thread, as is the buffer
  std::array<char, 65536> buffer_;
  std::thread thread_;
};

}  // namespace carrel::test
