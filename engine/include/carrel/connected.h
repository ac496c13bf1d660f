// What a Queue may offer beside its calls.
#pragma once

#include <carrel/result.h>

namespace carrel {

// For a Queue that is elsewhere, and comes back by itself when it was away: opened while
// it is away, it is a Queue all the same, whose publish() takes nothing and whose
// receive() is kUnavailable. The engine asks for it (by a dynamic_cast) to tell of it.
class Connected {
 public:
  virtual ~Connected() = default;
  // Why it cannot be asked now. Never blocks.
  virtual Result<void> connected() const = 0;
};

}  // namespace carrel
