#include <carrel/clock.h>

#include <chrono>
#include <ctime>

namespace carrel {

Duration boot_time() noexcept {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(now.tv_sec) +
                                              std::chrono::nanoseconds(now.tv_nsec));
}

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
