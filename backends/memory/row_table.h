// The rows of a memory store: found by id, and made and recycled.
//
// Ids are given out one after another, so a table that hashes an id to itself keeps
// neighbours side by side and needs no allocation a row. It holds as many slots as about
// twice the rows that live: a job that waits for a year does not make it grow with the
// ids that came after.
//
// Not thread-safe. A row stays where it is from add() to remove().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "row.h"

namespace carrel::memory {

class RowTable {
 public:
  RowTable();
  RowTable(const RowTable&) = delete;
  RowTable& operator=(const RowTable&) = delete;
  ~RowTable();

  // A row as new but for its id, which is above every earlier one. Strings in it may have
  // capacity left from the row's earlier life.
  Row& add();
  Row* find(JobId id) const;
  void remove(Row& row);
  std::size_t size() const { return size_; }

  // In no particular order.
  template <class F>
  void for_each(F f) const {
    for (const Row* row : slots_) {
      if (row != nullptr) f(*row);
    }
  }

 private:
  std::size_t home(JobId id) const { return value(id) & (slots_.size() - 1); }
  std::size_t distance(std::size_t slot) const;  // of the row in `slot` from its home
  void place(Row* row);
  void rehash(std::size_t slots);
  std::unique_ptr<Row> take();
  void recycle(std::unique_ptr<Row> row);

  std::vector<Row*> slots_;  // owned; a power of two; Robin Hood order
  std::size_t size_ = 0;
  std::uint64_t last_id_ = 0;
  std::vector<std::unique_ptr<Row>> spare_;
};

}  // namespace carrel::memory
