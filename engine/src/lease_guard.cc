#include "lease_guard.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "lease_time.h"
#include "reactor.h"
#include "reactor_timer.h"

namespace carrel {

LeaseGuard::LeaseGuard(Reactor& reactor, Duration lease, std::function<void()> look)
    : lease_(lease),
      look_(std::move(look)),
      timer_(std::make_shared<ReactorTimer>(reactor.context())) {
  boost::asio::post(timer_->timer.get_executor(), [this, timer = timer_] {
    if (!timer->closed) wait();
  });
}

LeaseGuard::~LeaseGuard() { timer_->close(); }

void LeaseGuard::wait() {
  timer_->timer.expires_after(look_again(lease_));
  timer_->timer.async_wait(
      [this, timer = timer_](const boost::system::error_code& error) {
        if (error || timer->closed) return;
        look_();
        wait();
      });
}

}  // namespace carrel
