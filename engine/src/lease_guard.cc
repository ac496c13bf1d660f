#include "lease_guard.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <utility>

#include "boot_time.h"
#include "reactor.h"

namespace carrel {

struct LeaseGuard::Timer {
  Timer(boost::asio::io_context& context) : timer(context) {}
  boost::asio::steady_timer timer;
  bool closed = false;  // touched on the reactor only
};

LeaseGuard::LeaseGuard(Reactor& reactor, Duration lease, std::function<void()> passed)
    : lease_(lease),
      passed_(std::move(passed)),
      renewed_(boot_time()),
      timer_(std::make_shared<Timer>(reactor.context())) {
  boost::asio::post(timer_->timer.get_executor(), [this, timer = timer_] {
    if (!timer->closed) wait();
  });
}

LeaseGuard::~LeaseGuard() {
  // What is on its way to this object on the reactor has run when this has.
  std::promise<void> done;
  boost::asio::post(timer_->timer.get_executor(), [&] {
    timer_->closed = true;
    timer_->timer.cancel();
    done.set_value();
  });
  done.get_future().wait();
}

bool LeaseGuard::is_passed() const noexcept { return fenced(renewed_, lease_); }

void LeaseGuard::wait() {
  // Often enough to hear soon after a sleep of the machine, through which no timer
  // counts.
  timer_->timer.expires_after(std::max(lease_ / 20, Duration{1000}));
  timer_->timer.async_wait(
      [this, timer = timer_](const boost::system::error_code& error) {
        if (error || timer->closed) return;
        if (is_passed()) passed_();
        wait();
      });
}

}  // namespace carrel
