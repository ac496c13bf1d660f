// The key that the handler on this thread holds: a handler that would wait for a job of
// its own key would wait for ever, and is told so.
#pragma once

#include <carrel/isolation.h>

#include <string_view>

namespace carrel {

// The keys of an isolation that runs the jobs of one key one after the other.
class Keys {
 public:
  virtual ~Keys() = default;
  // Whether a job of `kind` with these arguments has the key that `holder` holds.
  virtual bool same(const Claimed& holder, std::string_view kind,
                    std::string_view payload) const = 0;
};

// While it lives, the calling thread runs the handler of `holder`. All are borrowed.
class HeldKey {
 public:
  HeldKey(const Isolation* of, const Keys& keys, const Claimed& holder) noexcept;
  ~HeldKey();
  HeldKey(const HeldKey&) = delete;
  HeldKey& operator=(const HeldKey&) = delete;

 private:
  friend bool is_held_here(const Isolation* of, std::string_view kind,
                           std::string_view payload);
  const Isolation* of_;
  const Keys& keys_;
  const Claimed& holder_;
  const HeldKey* outer_;
};

// Whether the calling thread's handler holds, in `of`, the key of such a job.
bool is_held_here(const Isolation* of, std::string_view kind, std::string_view payload);

}  // namespace carrel
