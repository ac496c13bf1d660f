// The clock of leases: it runs on while the machine sleeps, as the store's does.
#pragma once

#include <carrel/result.h>

#include <algorithm>
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

// How often to look at a lease that is not renewed, or try again to renew it: often
// enough also soon after a sleep of the machine, through which no timer counts.
inline Duration look_again(Duration lease) noexcept {
  return std::max(lease / 20, Duration{1000});
}

}  // namespace carrel
