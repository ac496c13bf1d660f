#include "reactor_timer.h"

#include <boost/asio/post.hpp>
#include <future>

namespace carrel {

void ReactorTimer::close() {
  std::promise<void> done;
  boost::asio::post(timer.get_executor(), [&] {
    closed = true;
    timer.cancel();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace carrel
