// The jobs of a memory store that share rates, by key, and when attempts of them began.
//
// As with limits (key_lines.h) a key's jobs stand in lanes, one for each bucket, and in
// each only as many are available as could start, were they alone. Here it is time that
// lets the next ones go: each key has one timer, however many jobs wait.
//
// What a start is counted for is written down as it begins, and outlives its job. It is
// forgotten when the longest period that the key's jobs have named is over.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "row.h"
#include "row_order.h"

namespace carrel::memory {

class RateLine {
 public:
  explicit RateLine(std::string key) : key_(std::move(key)) {}

  const std::string& key() const { return key_; }
  // No attempt of this row may begin now.
  bool full_for(const Row& row, Time now) const;
  // One more available row in this row's lane could not begin.
  bool crowded_for(const Row& row, Time now) const;
  // Others in its lane wait already.
  bool others_wait(const Row& row) const;
  void start(Time now);  // an attempt begins
  void not_begun(Time at);  // one that was counted then: its worker gave it back

  // As the row enters and leaves its state.
  void enter(Row& row);
  void leave(Row& row);

  // A row that waits for its window, and need not any more; null: none.
  Row* next(Time now) const;

 private:
  friend class RateLines;
  struct Lane {
    const Bucket* bucket;
    std::size_t available = 0;
    RowOrder<ByAge> pending;
  };
  Lane& lane(const Row& row);
  // Starts that count in a window that ends now.
  std::size_t counted(Duration period, Time now) const;
  // When the window has room beside `ahead` rows; kNever: not by time alone.
  Time opens(const Row& row, std::size_t ahead) const;
  Time opens() const;

  const std::string key_;
  std::size_t rows_ = 0;                      // in whatever state
  std::deque<Time> starts_;                   // oldest first
  Duration longest_{0};                       // period that a row here had
  Time wake_ = kNever;                        // when RateLines must look at it
  std::vector<std::unique_ptr<Lane>> lanes_;  // a few
};

class RateLines {
 public:
  void join(Row& row, const Rate& rate);
  // No effect where the row has no rate. The line that it left, if there is one still.
  RateLine* part(Row& row);

  // Something has changed in the line: it will be due when that lets a row go.
  void schedule(RateLine& line, Time now);

  // A line whose time has come; null: none. After forget() it may be gone, and is none
  // that is due.
  RateLine* due(Time now) const;
  void forget(RateLine& line, Time now);
  Time next() const { return timers_.empty() ? kNever : timers_.begin()->first; }

 private:
  void set_wake(RateLine& line, Time wake);

  std::unordered_map<std::string, std::unique_ptr<RateLine>> lines_;
  std::set<std::pair<Time, RateLine*>> timers_;
};

}  // namespace carrel::memory
