// The guard of a worker's leases: a time after which what they cover must end, since the
// store may give it to others. It looks by itself, on the reactor: whoever renews the
// leases may be waiting for the store then.
#pragma once

#include <carrel/result.h>

#include <atomic>
#include <functional>
#include <memory>

namespace carrel {

class Reactor;
struct ReactorTimer;  // Asio's, kept out of this header

class LeaseGuard {
 public:
  // passed() is called on the reactor, again and again while the leases are not renewed
  // for 80 % of `lease`; it must not block. `reactor` outlives this.
  LeaseGuard(Reactor& reactor, Duration lease, std::function<void()> passed);
  // Waits until passed() is not running, and will not; not from the reactor.
  ~LeaseGuard();
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;

  // They last from boot_time() `at` on, or there are none. From any thread.
  void renewed(Duration at) noexcept { renewed_ = at; }
  Duration renewed() const noexcept { return renewed_; }
  bool is_passed() const noexcept;

 private:
  void wait();  // on the reactor

  const Duration lease_;
  const std::function<void()> passed_;
  std::atomic<Duration> renewed_;
  std::shared_ptr<ReactorTimer> timer_;
};

}  // namespace carrel
