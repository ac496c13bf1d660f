// The unique keys of a memory store: which job holds each.
//
// A job that is removed before its period is over leaves its key behind, with the state
// that it ended in, until then.
//
// Not thread-safe.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <map>
#include <string>
#include <unordered_map>

#include "row.h"

namespace carrel::memory {

struct UniqueKey {
  std::string key;
  Row* row = nullptr;  // null: removed
  JobId job{};
  Time enqueued{};
  Time until{};                     // its own period ends
  State ended = State::kCompleted;  // of a job that was removed

  State state() const { return row != nullptr ? row->rule.state : ended; }
};

class UniqueKeys {
 public:
  // null: nobody holds it.
  const UniqueKey* find(const std::string& key) const;
  // From now on the row holds the key, whoever held it before.
  void hold(Row& row, const Unique& unique);
  // The row is about to be removed. No effect where it holds no key.
  void part(Row& row, Time now);
  // Forgets keys that were left behind and whose period is over, at most `max`.
  void forget(Time now, std::size_t max);
  Time next() const;  // when there is one to forget; kNever: none was left behind

 private:
  void drop(UniqueKey& held);

  std::unordered_map<std::string, UniqueKey> keys_;  // they stay where they are
  std::multimap<Time, UniqueKey*> left_;             // by `until`
};

}  // namespace carrel::memory
