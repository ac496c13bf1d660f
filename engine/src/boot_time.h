// The clock of leases: it runs on while the machine sleeps, as the store's does.
#pragma once

#include <carrel/result.h>

#include <chrono>
#include <ctime>

namespace carrel {

inline Duration boot_time() noexcept {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(now.tv_sec) +
                                              std::chrono::nanoseconds(now.tv_nsec));
}

// A lease that was renewed at `renewed` may be over soon: whoever relies on it must stop.
inline bool fenced(Duration renewed, Duration lease) noexcept {
  return boot_time() - renewed >= lease * 4 / 5;
}

}  // namespace carrel
