// One connection to a broker: a DEALER socket and what libzmq tells of its fate.
#pragma once

#include <carrel/result.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "address.h"

namespace carrel::zmq {

// Threads: one owns it.
class Link {
 public:
  // Begins to connect; never blocks. ZeroMQ tries again by itself until it is connected
  // once.
  static Result<std::unique_ptr<Link>> open(const Address& address);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Never blocks. False: the connection is gone, of which news() may not tell (inproc).
  bool send(const std::string& frame);
  // Into `frame`; false: nothing is there.
  bool receive(std::string& frame);

  enum class News { kNone, kLost, kKeyRefused, kHandshakeFailed };
  News news();  // one at a time, until kNone

  void* socket() noexcept { return socket_.handle(); }
  void* monitor() noexcept { return monitor_.handle(); }

 private:
  Link(::zmq::socket_t socket, ::zmq::socket_t monitor)
      : socket_(std::move(socket)), monitor_(std::move(monitor)) {}

  ::zmq::socket_t socket_;
  ::zmq::socket_t monitor_;
};

}  // namespace carrel::zmq
