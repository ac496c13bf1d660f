#include "memory_queue.h"

#include <algorithm>
#include <tuple>

namespace carrel::memory {

QueueTraits MemoryQueue::traits() const noexcept {
  return {.reach = Reach::kProcess, .durable = false, .prioritised = true};
}

std::size_t MemoryQueue::publish(std::span<const Ticket> tickets) noexcept {
  Wakes wakes;
  std::size_t taken = 0;
  {
    const std::lock_guard lock(mutex_);
    for (; taken < tickets.size(); ++taken) {
      const Ticket& ticket = tickets[taken];
      if (ids_.contains(value(ticket.id))) continue;
      if (ids_.size() >= capacity_) break;
      ids_.insert(value(ticket.id));
      Bucket& bucket = buckets_[{ticket.queue, ticket.kind}];
      bucket.lines[ticket.priority].push_back({++arrivals_, ticket.id});
      ++bucket.size;
      waiters_.call(ticket.queue, ticket.kind, 1, wakes);
    }
  }
  wakes.send();
  return taken;
}

std::vector<Queue::Delivery> MemoryQueue::take(const Demand& demand) {
  using Place = std::map<Key, Bucket, std::less<>>::iterator;
  std::vector<Place> places;
  for (auto it = buckets_.begin(); it != buckets_.end(); ++it) {
    if (wants(demand, it->first.first, it->first.second)) places.push_back(it);
  }
  const auto later = [](const Place& a, const Place& b) {
    const auto& [x, x_line] = *a->second.lines.begin();
    const auto& [y, y_line] = *b->second.lines.begin();
    return std::tuple(x, x_line.front().number) > std::tuple(y, y_line.front().number);
  };
  std::make_heap(places.begin(), places.end(), later);
  std::vector<Delivery> taken;
  while (taken.size() < demand.max && !places.empty()) {
    std::pop_heap(places.begin(), places.end(), later);
    const Place place = places.back();
    auto& [key, bucket] = *place;
    const auto line = bucket.lines.begin();
    const JobId id = line->second.front().id;
    taken.push_back({Ticket{id, key.first, key.second, line->first}, ++receipts_});
    ids_.erase(value(id));
    line->second.pop_front();
    if (line->second.empty()) bucket.lines.erase(line);
    if (--bucket.size == 0) {
      places.pop_back();
      buckets_.erase(place);
    } else {
      std::push_heap(places.begin(), places.end(), later);
    }
  }
  return taken;
}

Result<std::vector<Queue::Delivery>> MemoryQueue::receive(const Demand& demand,
                                                          Duration wait) {
  std::unique_lock lock(mutex_);
  if (interrupted_ || demand.max == 0) return std::vector<Delivery>{};
  std::vector<Delivery> taken = take(demand);
  if (!taken.empty() || wait <= Duration::zero()) return taken;

  const auto deadline = deadline_after(wait);
  Waiters::Waiter waiter{demand, signals_.take()};
  waiters_.add(waiter);
  bool in_time = true;
  while (taken.empty() && in_time) {
    in_time = waiter.signal->wait_until(lock, deadline,
                                        [&] { return waiter.called || interrupted_; });
    if (interrupted_) break;  // and so will every other waiter
    waiter.called = false;
    taken = take(demand);
  }
  waiters_.remove(waiter);
  signals_.give(waiter.signal);
  return taken;
}

std::size_t MemoryQueue::backlog(const Demand& demand) const noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [key, bucket] : buckets_) {
    if (wants(demand, key.first, key.second)) count += bucket.size;
  }
  return count;
}

void MemoryQueue::interrupt() noexcept {
  Wakes wakes;
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    waiters_.call_all(wakes);
  }
  wakes.send();
}

}  // namespace carrel::memory
