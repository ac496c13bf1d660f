// The one ZeroMQ context of this process, and sockets made of it.
#pragma once

#include <carrel/result.h>

#include <zmq.hpp>

namespace carrel::zmq {

// Never destroyed: its threads may outlive every static. Not in the child of a fork,
// where those threads are missing: kUnsupported.
Result<::zmq::context_t*> context();

}  // namespace carrel::zmq
