#include "unique_keys.h"

#include <carrel/rules.h>

#include <utility>

namespace carrel::memory {

const UniqueKey* UniqueKeys::find(const std::string& key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

void UniqueKeys::hold(Row& row, const Unique& unique) {
  UniqueKey& held = keys_[unique.key];
  if (held.row != nullptr) {
    held.row->details->unique = nullptr;
  } else if (held.job != JobId{}) {
    drop(held);
  }
  held = {unique.key, &row, row.id, row.enqueued,
          rules::unique_until(unique, row.enqueued)};
  row.more().unique = &held;
}

void UniqueKeys::part(Row& row, Time now) {
  if (!row.details) return;
  UniqueKey* held = std::exchange(row.details->unique, nullptr);
  if (held == nullptr) return;
  if (held->until <= now) {
    keys_.erase(std::string(held->key));
    return;
  }
  held->row = nullptr;
  held->ended = row.rule.state;
  left_.emplace(held->until, held);
}

void UniqueKeys::forget(Time now, std::size_t max) {
  for (; max > 0 && next() <= now; --max) {
    const std::string key = left_.begin()->second->key;
    left_.erase(left_.begin());
    keys_.erase(key);
  }
}

Time UniqueKeys::next() const { return left_.empty() ? kNever : left_.begin()->first; }

void UniqueKeys::drop(UniqueKey& held) {
  const auto [from, to] = left_.equal_range(held.until);
  for (auto it = from; it != to; ++it) {
    if (it->second == &held) {
      left_.erase(it);
      return;
    }
  }
}

}  // namespace carrel::memory
