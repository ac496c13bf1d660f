#include "buckets.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>

namespace carrel::memory {
namespace {

bool contains(std::span<const std::string> names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool wants(const Buckets::Wanted& wanted, const Bucket& bucket) {
  return !bucket.paused &&
         (wanted.queues.empty() || contains(wanted.queues, bucket.queue)) &&
         (!wanted.kinds || contains(*wanted.kinds, bucket.kind));
}

}  // namespace

Buckets::Buckets(const std::map<std::string, std::uint32_t>& queue_limits) {
  for (const auto& [queue, most] : queue_limits) limits_[queue].most = most;
}

std::size_t Buckets::Hash::operator()(const Key& key) const noexcept {
  const std::hash<std::string_view> hash;
  return hash(key.queue) * 31 + hash(key.kind) + static_cast<std::size_t>(key.priority);
}

Bucket& Buckets::get(const std::string& queue, const std::string& kind,
                     std::int16_t priority) {
  if (last_ != nullptr && last_->priority == priority && last_->kind == kind &&
      last_->queue == queue) {
    return *last_;
  }
  const auto found = buckets_.find(Key{queue, kind, priority});
  if (found != buckets_.end()) return *(last_ = found->second.get());

  if (buckets_.size() >= drop_at_) drop_empty();
  auto bucket = std::make_unique<Bucket>();
  bucket->queue = queue;
  bucket->kind = kind;
  bucket->priority = priority;
  bucket->paused = paused_.contains(queue);
  if (const auto limit = limits_.find(queue); limit != limits_.end()) {
    bucket->limit = &limit->second;
  }
  last_ = bucket.get();
  const Key key{last_->queue, last_->kind, priority};
  buckets_.emplace(key, std::move(bucket));
  return *last_;
}

// Names may be as many as users: those without rows go, but only when that is worth it.
void Buckets::drop_empty() {
  std::erase_if(buckets_, [](const auto& entry) { return entry.second->live == 0; });
  drop_at_ = std::max<std::size_t>(64, buckets_.size() * 2);
  last_ = nullptr;
}

void Buckets::add_ready(Row& row) {
  Bucket& bucket = *row.bucket;
  bucket.ready.insert(row);
  if (bucket.active == Bucket::kInactive) {
    bucket.active = active_.size();
    active_.push_back(&bucket);
  }
}

void Buckets::remove_ready(Row& row) {
  Bucket& bucket = *row.bucket;
  bucket.ready.erase(row);
  if (!bucket.ready.empty() || bucket.active == Bucket::kInactive) return;
  active_.back()->active = bucket.active;
  active_[bucket.active] = active_.back();
  active_.pop_back();
  bucket.active = Bucket::kInactive;
}

void Buckets::set_paused(const std::string& queue, bool paused) {
  if (paused) {
    paused_.insert(queue);
  } else {
    paused_.erase(queue);
  }
  for (const auto& [key, bucket] : buckets_) {
    if (bucket->queue == queue) bucket->paused = paused;
  }
}

void Buckets::gather(const Wanted& wanted) {
  heads_.clear();
  Demand order{wanted.queues,
               {},
               std::numeric_limits<std::size_t>::max(),
               wanted.in_order,
               wanted.bounds};
  rooms_ = QueueRooms(order);
  for (const auto& [queue, limit] : limits_) rooms_.narrow(queue, limit.room());
  for (Bucket* bucket : active_) {
    if (wants(wanted, *bucket)) {
      heads_.push_back({bucket, RowOrder<ByAge>::Cursor(bucket->ready),
                        rank_of(order, bucket->queue),
                        rooms_.any() ? rooms_.of(bucket->queue) : nullptr});
    }
  }
  std::make_heap(heads_.begin(), heads_.end(), later);
}

Buckets::Next Buckets::next() {
  while (!heads_.empty() && heads_.front().room != nullptr && *heads_.front().room == 0) {
    std::pop_heap(heads_.begin(), heads_.end(), later);
    heads_.pop_back();
  }
  if (heads_.empty()) return {};
  // With one bucket, which is the common case, the heap calls do nothing.
  std::pop_heap(heads_.begin(), heads_.end(), later);
  Head& head = heads_.back();
  const Next found{head.cursor.get(), head.room};
  head.cursor.step();
  if (head.cursor.get() == nullptr) {
    heads_.pop_back();
  } else {
    std::push_heap(heads_.begin(), heads_.end(), later);
  }
  return found;
}

bool Buckets::later(const Head& a, const Head& b) {
  const Row& x = *a.cursor.get();
  const Row& y = *b.cursor.get();
  return std::tuple(a.rank, a.bucket->priority, x.run_at, x.id) >
         std::tuple(b.rank, b.bucket->priority, y.run_at, y.id);
}

}  // namespace carrel::memory
