#include "held_key.h"

namespace carrel {
namespace {
thread_local const HeldKey* innermost = nullptr;
}  // namespace

HeldKey::HeldKey(const Isolation* of, const Keys& keys, const Claimed& holder) noexcept
    : of_(of), keys_(keys), holder_(holder), outer_(innermost) {
  innermost = this;
}

HeldKey::~HeldKey() { innermost = outer_; }

bool is_held_here(const Isolation* of, std::string_view kind, std::string_view payload) {
  // A handler may run jobs of another engine inline, which hold keys of their own.
  for (const HeldKey* held = innermost; held != nullptr; held = held->outer_) {
    if (held->of_ == of && held->keys_.same(held->holder_, kind, payload)) return true;
  }
  return false;
}

}  // namespace carrel
