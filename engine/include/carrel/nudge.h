// What a Queue may offer beside its calls.
#pragma once

namespace carrel {

// For a Queue whose receive() can be ended early. The engine asks for it (by a
// dynamic_cast) where it bounds the jobs of a queue in its process: when one of them
// ends, it may take more than the demand says that it waits with. A queue that is no
// Nudge waits as long as it was told to, at most `worker.poll`, and then hears of it.
class Nudge {
 public:
  virtual ~Nudge() = default;
  // The receive() under way, or else the next, does not wait. Does not block.
  virtual void nudge() noexcept = 0;
};

}  // namespace carrel
