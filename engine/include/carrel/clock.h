// The clock of a store, so that tests can hold it in their hand; and that of leases.
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

// Both live as long as the process.
//
// CLOCK_REALTIME: it goes where somebody sets it.
const Clock& system_clock() noexcept;
// What CLOCK_REALTIME was at the first call of this, and from then on CLOCK_BOOTTIME:
// nobody can set it. For what no other process sees.
const Clock& process_clock() noexcept;

// CLOCK_BOOTTIME: since the machine started. Nobody can set it, and it runs on while the
// machine sleeps, as the clocks of other machines do: what leases are counted by where
// they are held.
Duration boot_time() noexcept;

}  // namespace carrel
