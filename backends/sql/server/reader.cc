#include "server/reader.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "server/limited_lanes.h"
#include "server/queue_limits.h"
#include "stored_row.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

struct Reader::Tables {
  Tables(Session& s, const Statements& sql)
      : lanes(s, sql),
        limited_lanes(s, sql.limited_lanes, sql.best_of_limited),
        queues(s, sql),
        all_lanes(s, sql.all_lanes, into(queue), into(kind)),
        not_final(s, sql.not_final, use(ids, "ids"), into(id)),
        next_wake(s, sql.next_wake, into(now), into(wake_at.value, wake_at.indicator)),
        final_rows(s, sql.final_rows, into(id)) {}

  std::string ids;
  std::string queue;
  std::string kind;
  long long id = 0;
  long long now = 0;
  Nullable wake_at;
  Lanes lanes;
  LimitedLanes limited_lanes;
  QueueLimits queues;
  Statement all_lanes;
  Statement not_final;
  Statement next_wake;
  Statement final_rows;
};

Reader::Reader(Driver& driver, const BackendOptions& options)
    : driver_(driver),
      max_rows_(options.retention.max_rows),
      queue_limits_(options.queue_limits),
      reading_(driver) {}

Reader::~Reader() = default;

Result<std::vector<Ticket>> Reader::peek(const Demand& demand) {
  if (demand.kinds.empty() || demand.max == 0) return std::vector<Ticket>{};
  return reading_.run([&](Tables& t) {
    const Time now = reading_.session().now();
    const auto lanes = t.lanes.find(&demand);
    const auto limited = t.limited_lanes.find(&demand);
    QueueRooms rooms(demand);
    t.queues.begin(queue_limits_);
    if (t.queues.any()) t.queues.narrow(rooms, t.queues.among(demand));
    if (limited.empty()) {
      return t.lanes.best(lanes, demand, demand.max, std::move(rooms), now).tickets;
    }
    struct Candidate {
      std::size_t rank;
      long long priority;
      long long run_at;
      Ticket ticket;
    };
    std::vector<Candidate> all;
    if (!lanes.empty()) {
      for (const auto& c : t.lanes.candidates(lanes, demand, demand.max, now)) {
        const Lane& lane = lanes[c.lane];
        all.push_back({c.rank,
                       c.priority,
                       c.run_at,
                       {to_id(c.id), lane.queue, lane.kind,
                        static_cast<std::int16_t>(c.priority)}});
      }
    }
    for (const auto& c : t.limited_lanes.candidates(limited, demand.max, now)) {
      all.push_back({rank_of(demand, c.lane.queue),
                     c.lane.priority,
                     c.run_at,
                     {to_id(c.id), c.lane.queue, c.lane.kind, c.lane.priority}});
    }
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.rank, a.priority, a.run_at, a.ticket.id) <
             std::tie(b.rank, b.priority, b.run_at, b.ticket.id);
    });
    std::vector<Ticket> tickets;
    for (Candidate& c : all) {
      if (tickets.size() == demand.max) break;
      if (rooms.take(c.ticket.queue, 1) == 0) continue;
      tickets.push_back(std::move(c.ticket));
    }
    return tickets;
  });
}

Result<std::vector<JobId>> Reader::ended(std::span<const JobId> ids) {
  return reading_.run([&](Tables& t) {
    std::unordered_set<JobId> open;
    t.ids = json_array(ids);
    t.not_final.rows([&] { open.insert(to_id(t.id)); });
    std::vector<JobId> ended;
    for (const JobId id : ids) {
      if (!open.contains(id)) ended.push_back(id);
    }
    return ended;
  });
}

Result<Duration> Reader::next_due() {
  return reading_.run([&](Tables& t) {
    Duration next = Duration::max();
    t.next_wake.run();
    if (const auto wake = t.wake_at.get(); wake && to_time(*wake) != kNever) {
      next = std::max(Duration(*wake - t.now), Duration::zero());
    }
    if (max_rows_ != 0 && t.final_rows.run() &&
        t.id > static_cast<long long>(max_rows_)) {
      next = Duration::zero();
    }
    return next;
  });
}

void Reader::mend_plans() {
  (void)reading_.run([&](Tables&) {
    driver_.mend_plans(reading_.session());
    return true;
  });
}

Result<std::vector<Lane>> Reader::lanes() {
  return reading_.run([&](Tables& t) {
    std::vector<Lane> lanes;
    t.all_lanes.rows([&] {
      if (!t.kind.empty()) {
        lanes.push_back({t.queue, t.kind});
      } else {
        LimitedLane lane = LimitedLane::of(t.queue);
        lanes.push_back({std::move(lane.queue), std::move(lane.kind)});
      }
    });
    return lanes;
  });
}

}  // namespace carrel::sql::server
