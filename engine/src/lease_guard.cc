#include "lease_guard.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "boot_time.h"
#include "reactor.h"
#include "reactor_timer.h"

namespace carrel {

LeaseGuard::LeaseGuard(Reactor& reactor, Duration lease, std::function<void()> passed)
    : lease_(lease),
      passed_(std::move(passed)),
      renewed_(boot_time()),
      timer_(std::make_shared<ReactorTimer>(reactor.context())) {
  boost::asio::post(timer_->timer.get_executor(), [this, timer = timer_] {
    if (!timer->closed) wait();
  });
}

LeaseGuard::~LeaseGuard() { timer_->close(); }

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
