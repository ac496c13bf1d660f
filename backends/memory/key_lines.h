// The jobs of a memory store that share limits, by key.
//
// A key's jobs stand in lanes, one for each bucket. In each lane only as many rows are
// available as could run, were they alone; those behind them are pending, out of the
// claim's way however many they are. Which of several lanes wins is the claim's to
// decide, so a lane that nobody claims from (paused, of a kind without a worker) holds up
// no other. All of it is a cache of the rows, changed with them. A row that waits for its
// rate's window (rate_lines.h) is not in line here.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "row.h"
#include "row_order.h"

namespace carrel::memory {

class KeyLine {
 public:
  explicit KeyLine(std::string key) : key_(std::move(key)) {}

  const std::string& key() const { return key_; }
  bool full_for(const Row& row) const { return running_ >= row.limit; }
  // One more available row in this row's lane could not run.
  bool crowded_for(const Row& row) const;

  // As the row enters and leaves its state.
  void enter(Row& row);
  void leave(Row& row);

  // A pending row that there is room for; null: none.
  Row* next() const;

 private:
  friend class KeyLines;
  struct Lane {
    const Bucket* bucket;
    std::size_t available = 0;
    RowOrder<ByAge> pending;
  };
  Lane& lane(const Row& row);

  const std::string key_;
  std::size_t rows_ = 0;  // in whatever state
  std::size_t running_ = 0;
  std::vector<std::unique_ptr<Lane>> lanes_;  // a few
};

class KeyLines {
 public:
  void join(Row& row, const std::string& key);
  // No effect where the row has no key. The line that it left, if others are in it.
  KeyLine* part(Row& row);

 private:
  std::unordered_map<std::string, std::unique_ptr<KeyLine>> lines_;
};

}  // namespace carrel::memory
