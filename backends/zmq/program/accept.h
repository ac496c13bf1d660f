// How this program takes a connection where it has no descriptor left.
#pragma once

namespace carrel::zmq {

// libzmq 4.3 ends the process where accept4() finds none for an ipc:// address, and turns
// for ever where it finds none for tcp://. So this program has an accept4() of its own,
// which refuses the connection then. It keeps a descriptor for that: from here on.
void refuse_what_has_no_descriptor() noexcept;

}  // namespace carrel::zmq
