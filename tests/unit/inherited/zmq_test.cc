#include <carrel/fork_to.h>
#include <zmq.h>

#include <array>
#include <stdexcept>
#include <string>

#include "inherited.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

// Two sockets of a context of their own, over TCP, so that its I/O thread takes part.
class Pair {
 public:
  Pair() {
    const int no_wait = 0;
    const int patience = 60'000;
    for (void* socket : {left_, right_}) {
      zmq_setsockopt(socket, ZMQ_LINGER, &no_wait, sizeof no_wait);
      zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    }
    if (zmq_bind(left_, "tcp://127.0.0.1:*") != 0) throw std::runtime_error("zmq_bind");
    std::array<char, 256> endpoint{};
    std::size_t size = endpoint.size();
    zmq_getsockopt(left_, ZMQ_LAST_ENDPOINT, endpoint.data(), &size);
    if (zmq_connect(right_, endpoint.data()) != 0) throw std::runtime_error("connect");
  }
  ~Pair() {
    zmq_close(left_);
    zmq_close(right_);
    zmq_ctx_term(context_);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void send(const std::string& text) { zmq_send(left_, text.data(), text.size(), 0); }
  std::string receive() {
    std::array<char, 64> text{};
    const int n = zmq_recv(right_, text.data(), text.size(), 0);
    return n < 0 ? std::string("nothing: ") + zmq_strerror(zmq_errno())
                 : std::string(text.data(), static_cast<std::size_t>(n));
  }

 private:
  void* context_ = zmq_ctx_new();
  void* left_ = zmq_socket(context_, ZMQ_PAIR);
  void* right_ = zmq_socket(context_, ZMQ_PAIR);
};

class InheritedZmq : public ProcessTest {};

TEST_F(InheritedZmq, Case22_ZeroMqSocketInherited_OwnContextWorksParentWorks) {
  Pair pair;
  pair.send("before");
  for (int i = 0; i < 10; ++i) {
    // One message is always on its way while a child begins, works and ends.
    const auto direct = fork_to(60s, [] { return zmq_exchange(); });
    ASSERT_TRUE(direct) << direct.error().message;
    EXPECT_EQ(*direct, "heard");
    EXPECT_EQ(fork_host().run("zmq").result, "\"heard\"");
    const auto born = fork_to(60s, [] { return born_now("zmq", ""); });
    ASSERT_TRUE(born) << born.error().message;
    EXPECT_EQ(*born, "\"heard\"");
    pair.send(std::to_string(i));
    EXPECT_EQ(pair.receive(), i == 0 ? "before" : std::to_string(i - 1));
  }
  EXPECT_EQ(pair.receive(), "9");
}

}  // namespace

std::string zmq_exchange() {
  Pair pair;
  pair.send("heard");
  return pair.receive();
}

}  // namespace carrel::test
