#include "row_table.h"

#include <utility>

namespace carrel::memory {
namespace {

constexpr std::size_t kFewestSlots = 1024;
constexpr std::size_t kMostEmpty = 64;  // slabs that are kept for the next jobs
// A recycled row keeps its buffers for the next job, but not the buffers of a giant.
constexpr std::size_t kKeptBuffer = 512;

void clear(std::string& text) {
  if (text.capacity() > kKeptBuffer) {
    text = std::string();
  } else {
    text.clear();
  }
}

void reset(std::unique_ptr<Details>& details) {
  if (details->attempts.capacity() > 2) {
    details.reset();
    return;
  }
  clear(details->request_id);
  clear(details->checkpoint);
  clear(details->log);
  details->progress.reset();
  details->attempts.clear();
  details->unique = nullptr;
  details->rate.reset();
}

}  // namespace

RowTable::RowTable() : slots_(kFewestSlots) {}

Row& RowTable::add() {
  if ((size_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
  Row& row = take();
  row.id = JobId{++last_id_};
  place(&row);
  ++size_;
  return row;
}

Row* RowTable::find(JobId id) const {
  // A row further from its home than the one looked for would have given way.
  for (std::size_t slot = home(id), walked = 0; slots_[slot] != nullptr;
       slot = (slot + 1) & (slots_.size() - 1), ++walked) {
    if (slots_[slot]->id == id) return slots_[slot];
    if (distance(slot) < walked) return nullptr;
  }
  return nullptr;
}

void RowTable::remove(Row& row) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = home(row.id);
  while (slots_[slot] != &row) slot = (slot + 1) & mask;
  for (std::size_t next = (slot + 1) & mask;
       slots_[next] != nullptr && distance(next) > 0; next = (next + 1) & mask) {
    slots_[slot] = slots_[next];
    slot = next;
  }
  slots_[slot] = nullptr;
  --size_;
  recycle(row);
  if (slots_.size() > kFewestSlots && size_ * 16 < slots_.size()) {
    rehash(slots_.size() / 4);
  }
}

std::size_t RowTable::distance(std::size_t slot) const {
  return (slot - home(slots_[slot]->id)) & (slots_.size() - 1);
}

void RowTable::place(Row* row) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = home(row->id);
  for (std::size_t walked = 0; slots_[slot] != nullptr; slot = (slot + 1) & mask) {
    if (const std::size_t there = distance(slot); there < walked) {
      std::swap(row, slots_[slot]);
      walked = there;
    }
    ++walked;
  }
  slots_[slot] = row;
}

void RowTable::rehash(std::size_t slots) {
  std::vector<Row*> old(slots);
  old.swap(slots_);
  for (Row* row : old) {
    if (row != nullptr) place(row);
  }
}

Slab::Slab() {
  for (std::size_t i = kRows; i-- > 0;) {
    rows[i].slab = this;
    rows[i].ready.next = std::exchange(spare, &rows[i]);
  }
}

Row& RowTable::take() {
  if (open_.empty()) {
    open_.emplace_front();
    open_.front().place = open_.begin();
    ++empty_;
  }
  Slab& slab = open_.front();
  Row& row = *slab.spare;
  slab.spare = std::exchange(row.ready.next, nullptr);
  if (slab.living++ == 0) --empty_;
  if (slab.spare == nullptr) full_.splice(full_.end(), open_, slab.place);
  return row;
}

void RowTable::recycle(Row& row) {
  // Field by field: moving whole rows about was an eighth of the store's time.
  clear(row.payload);
  clear(row.result);
  row.rule.worker = {};
  if (row.details) reset(row.details);
  row.started = kNever;
  row.ended = kNever;
  row.named = 0;
  row.watched = false;

  Slab& slab = *row.slab;
  if (slab.spare == nullptr) open_.splice(open_.begin(), full_, slab.place);
  row.ready.next = std::exchange(slab.spare, &row);
  if (--slab.living > 0) return;
  if (empty_ == kMostEmpty) {
    open_.erase(slab.place);
  } else {
    ++empty_;
    open_.splice(open_.end(), open_, slab.place);
  }
}

}  // namespace carrel::memory
