// Claims where some jobs have limits or rates.
#include <algorithm>
#include <iterator>
#include <tuple>

#include "group_commit.h"
#include "server/writer_tables.h"

namespace carrel::sql::server {

// Of jobs that their limits admit.
std::vector<Claimed> Writer::claim_limited(const Claiming& claiming,
                                           const std::vector<JobId>& ids) {
  auto& t = *tables_;
  auto claimed = claim_ids(claiming, ids, kAvailableLimited);
  for (const Claimed& c : claimed) t.limits.started(c.lease);
  t.limits.write_notes();
  return claimed;
}

// The best of those with limits and those without.
struct Writer::Choice {
  std::vector<JobId> limited;
  std::vector<std::pair<Lane, std::size_t>> shares;  // of the others' lanes
  std::vector<Lane> leftover;
};

Writer::Choice Writer::choose(const Demand& demand, std::size_t max, QueueRooms rooms,
                              const std::set<JobId>& passed_over) {
  auto& t = *tables_;
  struct Candidate {
    std::size_t rank;  // of its queue
    int priority;
    long long run_at;
    long long id;
    std::size_t lane;
    bool limited;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> all;
  std::vector<Lane> lanes = t.lanes.find(&demand);
  if (!lanes.empty()) {
    for (const auto& c : t.lanes.candidates(lanes, demand, max, now_)) {
      all.push_back(
          {c.rank, static_cast<int>(c.priority), c.run_at, c.id, c.lane, false});
    }
  }
  const std::size_t plain = lanes.size();
  const auto add = [&](LimitedLanes& held) {
    for (const auto& c :
         held.candidates(held.find(&demand), max + passed_over.size() + 1)) {
      if (passed_over.contains(to_id(c.id))) continue;
      if (lanes.size() == plain || lanes.back().queue != c.lane.queue ||
          lanes.back().kind != c.lane.kind) {
        lanes.push_back({c.lane.queue, c.lane.kind});
      }
      all.push_back({rank_of(demand, c.lane.queue), c.lane.priority, c.run_at, c.id,
                     lanes.size() - 1, true});
    }
  };
  const std::size_t others = all.size();
  add(t.limited_lanes);
  if (t.limits.rates()) add(t.rated_lanes);
  if (all.size() > others) t.limits.saw_some();
  std::sort(all.begin(), all.end());
  Choice choice;
  std::vector<std::size_t> take(lanes.size());
  std::vector<bool> more(lanes.size());
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (chosen == max || rooms.take(lanes[all[i].lane].queue, 1) == 0) {
      more[all[i].lane] = true;
      continue;
    }
    ++chosen;
    if (all[i].limited) {
      choice.limited.push_back(to_id(all[i].id));
    } else {
      ++take[all[i].lane];
    }
  }
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    if (more[i]) choice.leftover.push_back(lanes[i]);
    if (take[i] > 0) choice.shares.emplace_back(lanes[i], take[i]);
  }
  return choice;
}

Writer::Taken Writer::take_with_limits(const Claiming& claiming, const Demand& demand,
                                       std::size_t max, QueueRooms rooms) {
  auto& t = *tables_;
  Taken taken;
  std::set<JobId> passed_over;  // not to be had in this transaction
  for (bool again = true; again && taken.jobs.size() < max;) {
    again = false;
    Choice choice = choose(demand, max - taken.jobs.size(), rooms, passed_over);
    taken.leftover = std::move(choice.leftover);
    std::vector<Claimed> claimed;
    if (!choice.limited.empty()) {
      const Limits::Admission admission = t.limits.admit(choice.limited);
      claimed = claim_limited(claiming, admission.admitted);
      // The busy ones, too, and what is not what it looked like.
      passed_over.insert(choice.limited.begin(), choice.limited.end());
      again = claimed.size() < choice.limited.size();
    }
    if (!choice.shares.empty()) {
      auto others = claim_lanes(claiming, choice.shares, false);
      std::move(others.begin(), others.end(), std::back_inserter(claimed));
    }
    const auto order = [&](const Claimed& c) {
      return std::tuple(rank_of(demand, c.queue), c.priority, t.run_ats[c.lease.id],
                        c.lease.id);
    };
    std::sort(claimed.begin(), claimed.end(),
              [&](const Claimed& a, const Claimed& b) { return order(a) < order(b); });
    t.run_ats.clear();
    for (const Claimed& c : claimed) rooms.take(c.queue, 1);
    std::move(claimed.begin(), claimed.end(), std::back_inserter(taken.jobs));
  }
  settle();
  // What is busy is waited for only where there is nothing else: others run meanwhile.
  if (taken.jobs.empty() && t.limits.wait_for_busy()) throw NextTransaction{};
  return taken;
}

}  // namespace carrel::sql::server
