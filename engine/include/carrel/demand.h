// What a Demand says of each queue: for stores and queues that choose among jobs of
// several.
//
// Lists of queues are short: all of it searches them from their front.
#pragma once

#include <carrel/queue.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace carrel {

// Where `queue` stands: a job of a lower rank goes first, whatever the priorities. The
// same for every queue where the demand is not in order.
inline std::size_t rank_of(const Demand& demand, std::string_view queue) noexcept {
  if (!demand.in_order) return 0;
  const auto at = std::find(demand.queues.begin(), demand.queues.end(), queue);
  return static_cast<std::size_t>(at - demand.queues.begin());
}

// How many jobs of `queue` the demand takes at most.
inline std::size_t most_of(const Demand& demand, std::string_view queue) noexcept {
  for (const QueueBound& bound : demand.bounds) {
    if (bound.queue == queue) return std::min(bound.most, demand.max);
  }
  return demand.max;
}

// How many jobs of each queue may still be taken; counted down as they are. The names are
// borrowed.
class QueueRooms {
 public:
  QueueRooms() = default;
  explicit QueueRooms(const Demand& demand) {
    for (const QueueBound& bound : demand.bounds) narrow(bound.queue, bound.most);
  }

  // At most `most` of `queue`, unless it is narrower already.
  void narrow(std::string_view queue, std::size_t most) {
    if (std::size_t* room = of(queue)) {
      *room = std::min(*room, most);
    } else {
      rooms_.emplace_back(queue, most);
    }
  }

  bool any() const noexcept { return !rooms_.empty(); }  // where false, no queue has any

  // null: any number. Stays valid until the next narrow().
  std::size_t* of(std::string_view queue) noexcept {
    for (auto& [name, room] : rooms_) {
      if (name == queue) return &room;
    }
    return nullptr;
  }

  // Takes `wanted` jobs of `queue`, or as many as there is room for: how many.
  std::size_t take(std::string_view queue, std::size_t wanted) noexcept {
    std::size_t* room = of(queue);
    if (room == nullptr) return wanted;
    const std::size_t taken = std::min(*room, wanted);
    *room -= taken;
    return taken;
  }

 private:
  std::vector<std::pair<std::string_view, std::size_t>> rooms_;
};

}  // namespace carrel
