// The rows of a memory store: found by id, and made and recycled.
//
// Ids are given out one after another, so a table that hashes an id to itself keeps
// neighbours side by side and needs no allocation a row. It holds as many slots as about
// twice the rows that live: a job that waits for a year does not make it grow with the
// ids that came after.
//
// Rows are made many at a time, in slabs, and a slab goes once none of its rows lives and
// enough others are spare: so a row costs no allocation of its own, on whichever thread it
// comes and goes.
//
// Not thread-safe. A row stays where it is from add() to remove().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include "row.h"

namespace carrel::memory {

struct Slab;

class RowTable {
 public:
  RowTable();
  RowTable(const RowTable&) = delete;
  RowTable& operator=(const RowTable&) = delete;

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
  Row& take();
  void recycle(Row& row);

  std::vector<Row*> slots_;  // a power of two; Robin Hood order
  std::size_t size_ = 0;
  std::uint64_t last_id_ = 0;
  std::list<Slab> open_;   // with spare rows; those without a living one are last
  std::list<Slab> full_;   // without
  std::size_t empty_ = 0;  // without a living row
};

// Some rows, and a list of the spare ones through their `ready` links.
struct Slab {
  static constexpr std::size_t kRows = 64;

  Slab();

  std::array<Row, kRows> rows;
  Row* spare = nullptr;
  std::size_t living = 0;
  std::list<Slab>::iterator place;
};

}  // namespace carrel::memory
