#include "lanes.h"

#include <algorithm>
#include <tuple>

#include "rows.h"
#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

Lanes::Lanes(soci::session& session)
    : find_paused_(session, statements::kPaused, into(next_queue_)),
      find_queue_(session, statements::kNextQueue, use(queue_, "queue"),
                  into(next_queue_), into(next_kind_)),
      find_kind_(session, statements::kNextKind, use(queue_, "queue"), use(kind_, "kind"),
                 into(next_kind_)),
      find_best_(session, statements::kBestOfLane, use(queue_, "queue"),
                 use(kind_, "kind"), use(now_, "now"), use(most_, "most"), into(id_),
                 into(priority_), into(run_at_)) {}

std::vector<std::string> Lanes::paused() {
  std::vector<std::string> queues;
  find_paused_.rows([&] { queues.push_back(next_queue_); });
  return queues;
}

std::vector<Lane> Lanes::all() {
  std::vector<Lane> lanes;
  queue_.clear();
  while (find_queue_.run()) {
    queue_ = next_queue_;
    kind_ = next_kind_;
    lanes.push_back({queue_, kind_});
    while (find_kind_.run()) {
      kind_ = next_kind_;
      lanes.push_back({queue_, kind_});
    }
  }
  return lanes;
}

std::vector<Lane> Lanes::find(const Demand* demand) {
  const auto is_one_of = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto held = paused();
  std::vector<Lane> lanes;
  // A demand that names few lanes is asked for directly: how many others there are does
  // not matter then.
  constexpr std::size_t kFew = 16;
  if (demand != nullptr && !demand->queues.empty() &&
      demand->queues.size() * demand->kinds.size() <= kFew) {
    for (const std::string& queue : demand->queues) {
      for (const std::string& kind : demand->kinds) {
        const auto same = [&](const Lane& l) {
          return l.queue == queue && l.kind == kind;
        };
        if (std::none_of(lanes.begin(), lanes.end(), same))
          lanes.push_back({queue, kind});
      }
    }
  } else {
    lanes = all();
  }
  std::erase_if(lanes, [&](const Lane& lane) {
    return is_one_of(held, lane.queue) ||
           (demand != nullptr &&
            (!is_one_of(demand->kinds, lane.kind) ||
             (!demand->queues.empty() && !is_one_of(demand->queues, lane.queue))));
  });
  return lanes;
}

Lanes::Best Lanes::best(const Demand& demand, QueueRooms rooms, Time now) {
  if (demand.kinds.empty() || demand.max == 0) return {};
  return best(find(&demand), demand, demand.max, std::move(rooms), now);
}

Lanes::Best Lanes::best(const std::vector<Lane>& lanes, const Demand& demand,
                        std::size_t max, QueueRooms rooms, Time now) {
  struct Candidate {
    std::size_t rank;  // of its queue
    int priority;
    long long run_at;
    long long id;
    std::size_t lane;
    auto key() const { return std::tuple(rank, priority, run_at, id); }
    bool operator<(const Candidate& other) const { return key() < other.key(); }
  };
  Best best;
  std::vector<Candidate> candidates;
  now_ = now.time_since_epoch().count();
  // One more than may be taken: whether the lane holds more.
  most_ = static_cast<long long>(std::min<std::size_t>(max, 1U << 20)) + 1;
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    queue_ = lanes[i].queue;
    kind_ = lanes[i].kind;
    const std::size_t rank = rank_of(demand, queue_);
    find_best_.rows([&] { candidates.push_back({rank, priority_, run_at_, id_, i}); });
  }
  // Each lane comes in order; only several have to be merged.
  if (lanes.size() > 1) std::sort(candidates.begin(), candidates.end());
  std::vector<std::size_t> more(lanes.size(), 0);
  for (const Candidate& c : candidates) {
    if (best.tickets.size() < max && rooms.take(lanes[c.lane].queue, 1) == 1) {
      best.tickets.push_back({JobId{static_cast<std::uint64_t>(c.id)},
                              lanes[c.lane].queue, lanes[c.lane].kind,
                              static_cast<std::int16_t>(c.priority)});
    } else {
      ++more[c.lane];
    }
  }
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    if (more[i] > 0) best.leftover.push_back({lanes[i].queue, lanes[i].kind, more[i]});
  }
  return best;
}

}  // namespace carrel::sql::sqlite
