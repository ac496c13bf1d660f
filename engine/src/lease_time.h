// How long a lease may be relied on, by boot_time().
#pragma once

#include <carrel/clock.h>

#include <algorithm>

namespace carrel {

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
