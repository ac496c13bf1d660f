// A peer that says what it likes: a bare DEALER socket.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "context.h"
#include "curve.h"
#include "messages.h"

namespace carrel::zmq {

class RawPeer {
 public:
  explicit RawPeer(const std::string& endpoint, const KeyPair* keys = nullptr,
                   const std::string& server_key = {}, const std::string& name = {})
      : socket_(**context(), ::zmq::socket_type::dealer) {
    socket_.set(::zmq::sockopt::linger, 0);
    socket_.set(::zmq::sockopt::sndhwm, 0);
    socket_.set(::zmq::sockopt::rcvhwm, 1);  // what is not read stays where it comes from
    if (!name.empty()) socket_.set(::zmq::sockopt::routing_id, name);
    if (keys != nullptr) {
      socket_.set(::zmq::sockopt::curve_serverkey, from_hex(server_key));
      socket_.set(::zmq::sockopt::curve_publickey, from_hex(keys->public_key));
      socket_.set(::zmq::sockopt::curve_secretkey, from_hex(keys->secret_key));
    }
    socket_.connect(endpoint);
  }

  void send(const std::string& frame) {
    ASSERT_TRUE(socket_.send(::zmq::buffer(frame), ::zmq::send_flags::none));
  }
  template <class M>
  void ask(const M& message) {
    std::string frame = encode(message);
    stamp(frame, ++last_id_, received_);
    send(frame);
  }
  std::uint64_t last_id() const { return last_id_; }

  // The next frame; empty: none came.
  std::string receive(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    socket_.set(::zmq::sockopt::rcvtimeo, static_cast<int>(patience.count()));
    ::zmq::message_t frame;
    if (!socket_.recv(frame)) return {};
    const std::string text = frame.to_string();
    const auto head = head_of(text);
    if (head && head->type != Type::kRefused) ++received_;
    return text;
  }
  template <class M>
  std::optional<M> expect() {
    const std::string frame = receive();
    M message{};
    const auto head = head_of(frame);
    if (head && head->type == M::kType && decode(body_of(frame), message)) return message;
    ADD_FAILURE() << "expected a message of type " << static_cast<int>(M::kType)
                  << ", got "
                  << (head ? std::to_string(static_cast<int>(head->type)) : "none");
    return std::nullopt;
  }
  template <class M>
  std::optional<typename M::Answer> answer_to(const M& message) {
    ask(message);
    return expect<typename M::Answer>();
  }

  // A session ended; the next one counts anew.
  void begin_again() { received_ = 0; }
  std::optional<Welcome> greet(const std::string& client = "raw-peer") {
    Hello hello;
    hello.client = client;
    hello.heartbeat = std::chrono::seconds(60);
    hello.answer_limit = 1 << 20;
    ask(hello);
    return expect<Welcome>();
  }

 private:
  ::zmq::socket_t socket_;
  std::uint64_t last_id_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace carrel::zmq
