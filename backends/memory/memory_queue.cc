#include "memory_queue.h"

#include <carrel/demand.h>

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
  struct Place {
    std::size_t rank;
    std::map<Key, Bucket, std::less<>>::iterator at;
    std::size_t* room;  // of its queue; null: any
  };
  QueueRooms rooms(demand);
  std::vector<Place> places;
  for (auto it = buckets_.begin(); it != buckets_.end(); ++it) {
    const std::string& queue = it->first.first;
    if (!wants(demand, queue, it->first.second)) continue;
    places.push_back({rank_of(demand, queue), it, rooms.of(queue)});
  }
  const auto later = [](const Place& a, const Place& b) {
    const auto& [x, x_line] = *a.at->second.lines.begin();
    const auto& [y, y_line] = *b.at->second.lines.begin();
    return std::tuple(a.rank, x, x_line.front().number) >
           std::tuple(b.rank, y, y_line.front().number);
  };
  std::make_heap(places.begin(), places.end(), later);
  std::vector<Delivery> taken;
  while (taken.size() < demand.max && !places.empty()) {
    std::pop_heap(places.begin(), places.end(), later);
    const Place place = places.back();
    if (place.room != nullptr && *place.room == 0) {
      places.pop_back();
      continue;
    }
    if (place.room != nullptr) --*place.room;
    auto& [key, bucket] = *place.at;
    const auto line = bucket.lines.begin();
    const JobId id = line->second.front().id;
    taken.push_back({Ticket{id, key.first, key.second, line->first}, ++receipts_});
    ids_.erase(value(id));
    line->second.pop_front();
    if (line->second.empty()) bucket.lines.erase(line);
    if (--bucket.size == 0) {
      places.pop_back();
      buckets_.erase(place.at);
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
    in_time = waiter.signal->wait_until(
        lock, deadline, [&] { return waiter.called || nudged_ || interrupted_; });
    if (interrupted_) break;                             // and so will every other waiter
    if (std::exchange(nudged_, false)) in_time = false;  // a last look
    waiter.called = false;
    taken = take(demand);
  }
  waiters_.remove(waiter);
  signals_.give(waiter.signal);
  return taken;
}

std::size_t MemoryQueue::backlog(const Demand& demand) const noexcept {
  const std::lock_guard lock(mutex_);
  QueueRooms rooms(demand);
  std::size_t count = 0;
  for (const auto& [key, bucket] : buckets_) {
    if (wants(demand, key.first, key.second)) {
      count += rooms.take(key.first, bucket.size);
    }
  }
  return count;
}

void MemoryQueue::nudge() noexcept {
  Wakes wakes;
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
    waiters_.call_all(wakes);
  }
  wakes.send();
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
