#include "server/lanes.h"

#include <algorithm>

#include "server/json_rows.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

bool names(const Demand& demand, const std::string& queue, const std::string& kind) {
  const auto is_one_of = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return is_one_of(demand.kinds, kind) &&
         (demand.queues.empty() || is_one_of(demand.queues, queue));
}

Lanes::Lanes(Session& session, const Statements& statements)
    : find_(session, statements.lanes, into(queue_), into(kind_)),
      best_of_lane_(session, statements.best_of_lane, use(queue_, "queue"),
                    use(kind_, "kind"), use(now_, "now"), use(most_, "most"), into(id_),
                    into(priority_), into(run_at_)),
      best_of_lanes_(session, statements.best_of_lanes, use(rows_, "rows"),
                     use(now_, "now"), use(most_, "most"), into(n_), into(id_),
                     into(priority_), into(run_at_)) {}

std::vector<Lane> Lanes::find(const Demand* demand) {
  std::vector<Lane> lanes;
  find_.rows([&] {
    if (demand == nullptr || names(*demand, queue_, kind_)) {
      lanes.push_back({queue_, kind_});
    }
  });
  return lanes;
}

std::vector<Lanes::Candidate> Lanes::candidates(const std::vector<Lane>& lanes,
                                                const Demand& demand, std::size_t max,
                                                Time now) {
  std::vector<Candidate> found;
  now_ = now.time_since_epoch().count();
  // One more than may be taken: whether the lane holds more.
  most_ = static_cast<long long>(std::min<std::size_t>(max, 1U << 20)) + 1;
  if (best_of_lanes_) {
    JsonRows rows;
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      rows.row()
          .add("n", static_cast<long long>(i))
          .add_text("queue", lanes[i].queue)
          .add_text("kind", lanes[i].kind);
    }
    rows_ = rows.take();
    best_of_lanes_.rows([&] {
      const auto lane = static_cast<std::size_t>(n_);
      const std::size_t rank = rank_of(demand, lanes.at(lane).queue);
      found.push_back({rank, priority_, run_at_, id_, lane});
    });
  } else {
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      queue_ = lanes[i].queue;
      kind_ = lanes[i].kind;
      const std::size_t rank = rank_of(demand, queue_);
      best_of_lane_.rows([&] { found.push_back({rank, priority_, run_at_, id_, i}); });
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Lanes::Best Lanes::best(const std::vector<Lane>& lanes, const Demand& demand,
                        std::size_t max, QueueRooms rooms, Time now) {
  Best best;
  best.shares.resize(lanes.size());
  if (lanes.empty() || max == 0) return best;
  for (const Candidate& c : candidates(lanes, demand, max, now)) {
    Share& share = best.shares[c.lane];
    if (best.tickets.size() < max && rooms.take(lanes[c.lane].queue, 1) == 1) {
      best.tickets.push_back({JobId{static_cast<std::uint64_t>(c.id)},
                              lanes[c.lane].queue, lanes[c.lane].kind,
                              static_cast<std::int16_t>(c.priority)});
      ++share.take;
    } else {
      share.more = true;
    }
  }
  return best;
}

}  // namespace carrel::sql::server
