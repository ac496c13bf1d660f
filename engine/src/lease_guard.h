// The guard of a worker's leases: a look at them again and again, since what they cover
// must end before the store may give it to others. It looks by itself, on the reactor:
// whoever renews the leases may be waiting for the store then.
#pragma once

#include <carrel/result.h>

#include <functional>
#include <memory>

namespace carrel {

class Reactor;
struct ReactorTimer;  // Asio's, kept out of this header

class LeaseGuard {
 public:
  // look() is called on the reactor, every look_again(lease); it must not block.
  // `reactor` outlives this.
  LeaseGuard(Reactor& reactor, Duration lease, std::function<void()> look);
  // Waits until look() is not running, and will not; not from the reactor.
  ~LeaseGuard();
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;

 private:
  void wait();  // on the reactor

  const Duration lease_;
  const std::function<void()> look_;
  std::shared_ptr<ReactorTimer> timer_;
};

}  // namespace carrel
