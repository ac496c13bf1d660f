#include <carrel/clock.h>

#include "boot_time.h"

namespace carrel {
namespace {
class SystemClock final : public Clock {
 public:
  Time now() const noexcept override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
};

class ProcessClock final : public Clock {
 public:
  Time now() const noexcept override { return booted_ + boot_time(); }

 private:
  const Time booted_ = system_clock().now() - boot_time();
};

}  // namespace

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

const Clock& process_clock() noexcept {
  static const ProcessClock clock;
  return clock;
}

}  // namespace carrel
