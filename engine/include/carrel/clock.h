// The clock of a store, so that tests can hold it in their hand.
#pragma once

#include <carrel/types.h>

namespace carrel {

// Threads: safe for concurrent calls.
class Clock {
 public:
  virtual ~Clock() = default;
  // May step back (somebody set the clock): no code may rely on it being monotonic.
  virtual Time now() const noexcept = 0;
};

// CLOCK_REALTIME. Lives as long as the process.
const Clock& system_clock() noexcept;

}  // namespace carrel
