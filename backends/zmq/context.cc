#include "context.h"

#include <unistd.h>

namespace carrel::zmq {

Result<::zmq::context_t*> context() {
  struct Made {
    ::zmq::context_t* context = new ::zmq::context_t(1, 16'384);
    pid_t process = getpid();
  };
  static const Made made;
  if (made.process == getpid()) return made.context;
  return fail(Code::kUnsupported,
              "ZeroMQ was in use before this process was forked: a child must not use "
              "it, but may execute another program that does",
              "zmq");
}

}  // namespace carrel::zmq
