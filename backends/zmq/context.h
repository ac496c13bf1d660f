// The one ZeroMQ context of this process, and sockets made of it.
#pragma once

#include <carrel/result.h>

#include <span>
#include <string>
#include <zmq.hpp>

namespace carrel::zmq {

// Never destroyed: its threads may outlive every static. Not in the child of a fork,
// where those threads are missing: kUnsupported.
Result<::zmq::context_t*> context();

// Gives up what `socket` is bound to, and waits until others may bind to it: a second at
// most, for libzmq's own thread. What was sent to those who are connected still goes to
// them, for as long as the socket lingers.
void unbind(::zmq::socket_t& socket, std::span<const std::string> endpoints) noexcept;

}  // namespace carrel::zmq
