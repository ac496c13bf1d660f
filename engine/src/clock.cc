#include <carrel/clock.h>

namespace carrel {
namespace {
class SystemClock final : public Clock {
 public:
  Time now() const noexcept override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
};
}  // namespace

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

}  // namespace carrel
