// A timer on the reactor whose handlers use an object that may go before them.
//
// That object holds it by shared_ptr, as each of its handlers does; these look at
// `closed` before they touch the object, whose destructor calls close().
#pragma once

#include <boost/asio/steady_timer.hpp>

namespace carrel {

struct ReactorTimer {
  explicit ReactorTimer(boost::asio::io_context& context) : timer(context) {}
  // Returns when what is on its way on the reactor has run, and no handler will find it
  // open. Not from the reactor.
  void close();

  boost::asio::steady_timer timer;
  bool closed = false;  // touched on the reactor only
};

}  // namespace carrel
