// Rows in the order of a time, where they mostly arrive in that order.
//
// Jobs become available, leases begin and rows become final as time goes on: nearly every
// row belongs at the end. So the order is a linked list through the rows, to whose end a
// row is added in constant time without an allocation, beside a tree of the strays that
// came out of order (a released job, a clock that was set back, delays of all lengths).
// Its first row is the earlier of the two fronts.
//
// Not thread-safe. The rows are borrowed; a row's key stays as it is while it is in.
#pragma once

#include <set>
#include <tuple>

#include "row.h"

namespace carrel::memory {

// Age among available rows: who fell due first.
struct ByAge {
  static Link& link(Row& row) { return row.ready; }
  static Time time(const Row& row) { return row.run_at; }
};

// When the sweep must look at a row.
struct ByWake {
  static Link& link(Row& row) { return row.timer; }
  static Time time(const Row& row) { return row.rule.wake_at; }
};

template <class By>
bool earlier(const Row& a, const Row& b) {
  return std::tuple(By::time(a), a.id) < std::tuple(By::time(b), b.id);
}

template <class By>
class RowOrder {
  struct Less {
    bool operator()(const Row* a, const Row* b) const { return earlier<By>(*a, *b); }
  };
  using Strays = std::set<Row*, Less>;

 public:
  RowOrder() = default;
  RowOrder(const RowOrder&) = delete;
  RowOrder& operator=(const RowOrder&) = delete;

  bool empty() const { return first_ == nullptr && strays_.empty(); }

  void insert(Row& row) {
    Link& link = By::link(row);
    if (last_ != nullptr && earlier<By>(row, *last_)) {
      strays_.insert(&row);
      link.prev = &row;
      return;
    }
    link = {last_, nullptr};
    (last_ != nullptr ? By::link(*last_).next : first_) = &row;
    last_ = &row;
  }

  // No effect where the row is in no order.
  void erase(Row& row) {
    Link& link = By::link(row);
    if (link.prev == &row) {
      strays_.erase(&row);
    } else if (link.prev != nullptr || first_ == &row) {
      (link.prev != nullptr ? By::link(*link.prev).next : first_) = link.next;
      (link.next != nullptr ? By::link(*link.next).prev : last_) = link.prev;
    }
    link = {};
  }

  // Walks the rows in order. The row that it has passed may be erased; nothing else may
  // change while it walks.
  class Cursor {
   public:
    explicit Cursor(const RowOrder& order)
        : listed_(order.first_),
          stray_(order.strays_.begin()),
          end_(order.strays_.end()) {}

    Row* get() const {  // null: at the end
      if (stray_ == end_) return listed_;
      if (listed_ == nullptr || earlier<By>(**stray_, *listed_)) return *stray_;
      return listed_;
    }
    void step() {
      if (get() == listed_) {
        listed_ = By::link(*listed_).next;
      } else {
        ++stray_;
      }
    }

   private:
    Row* listed_;
    typename Strays::const_iterator stray_;
    typename Strays::const_iterator end_;
  };

  Row* front() const { return Cursor(*this).get(); }

 private:
  Row* first_ = nullptr;
  Row* last_ = nullptr;
  Strays strays_;
};

}  // namespace carrel::memory
