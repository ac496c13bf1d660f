// What a ClaimSource may be besides: one that tells of jobs, so that nobody has to sleep
// inside its claim() until some come. The engine asks by dynamic_cast; a source that
// cannot tell is waited in.
#pragma once

#include <functional>

namespace carrel {

// For stores whose calls do not block (StoreTraits::blocks): whoever makes a job
// available may then claim it, start it, and wake nobody but the thread that runs it.
class TellingSource {
 public:
  virtual ~TellingSource() = default;
  // From now on a claim that finds less than it asked for is remembered, with its demand:
  // as soon as there may be another job for it, `told` is called, once, on the thread
  // that made it available, with no lock held. It may claim. Set before the first claim.
  //
  // After ClaimSource::interrupt(), which waits for a call that is under way, it is
  // called no more.
  virtual void tell(std::function<void()> told) = 0;
};

}  // namespace carrel
