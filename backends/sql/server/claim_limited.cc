// Claims where some jobs have limits or rates.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <tuple>
#include <unordered_set>

#include "group_commit.h"
#include "server/writer_tables.h"

namespace carrel::sql::server {

// Of jobs that their limits admit.
std::vector<Claimed> Writer::claim_limited(const Claiming& claiming,
                                           const std::vector<JobId>& ids, bool whole) {
  auto& t = *tables_;
  auto claimed = claim_ids(claiming, ids, kAvailableLimited, whole);
  for (const Claimed& c : claimed) t.limits.started(c.lease);
  t.limits.write_notes();
  return claimed;
}

std::vector<Claimed> Writer::claim_within(const Claiming& claiming,
                                          std::vector<Limits::Asked>& jobs) {
  auto& t = *tables_;
  std::vector<Claimed> claimed;
  if (!t.claim_within) return claimed;
  const std::vector<Limits::Asked> free = t.limits.know_free(jobs);
  if (free.empty()) return claimed;
  begin_claim(claiming);
  JsonRows rows(driver_.statements().inserted);
  for (std::size_t n = 0; n < free.size(); ++n) {
    rows.row()
        .add("n", static_cast<long long>(n))
        .add("id", to_column(free[n].id))
        .add_text("limit_key", free[n].limit_key);
  }
  t.rows = rows.take();
  std::unordered_set<JobId> got;
  t.claim_within.rows([&] {
    claimed.push_back(claimed_row());
    got.insert(claimed.back().lease.id);
  });
  complete_claim(claimed);
  for (const Claimed& c : claimed) t.limits.started(c.lease);
  std::erase_if(jobs, [&](const auto& job) { return got.contains(job.id); });
  return claimed;
}

// `alone`: nothing else is claimed in the operation. `again`: given, what is to be chosen
// again comes there.
std::vector<Claimed> Writer::claim_chosen(const Claiming& claiming,
                                          std::vector<Limits::Asked> jobs, bool alone,
                                          std::vector<JobId>* again) {
  std::vector<Claimed> claimed = claim_within(claiming, jobs);
  Limits::Admission admission = tables_->limits.admit(jobs, again != nullptr);
  if (again != nullptr) *again = std::move(admission.to_choose_again);
  const bool whole =
      alone && claimed.empty() && admission.admitted.size() == jobs.size() &&
      std::all_of(jobs.begin(), jobs.end(),
                  [](const Limits::Asked& job) { return job.rate_key.empty(); });
  auto others = claim_limited(claiming, admission.admitted, whole);
  std::move(others.begin(), others.end(), std::back_inserter(claimed));
  return claimed;
}

// The best of those with limits and those without.
struct Writer::Choice {
  std::vector<Limits::Asked> limited;
  std::vector<std::pair<Lane, std::size_t>> shares;  // of the others' lanes
  std::vector<Lane> leftover;
};

// In the order in which it would run.
struct Writer::Candidate {
  std::size_t rank;  // of its queue
  int priority;
  long long run_at;
  long long id;
  std::size_t lane;
  bool keyed;
  std::string limit_key;
  std::string rate_key;
  auto order() const { return std::tie(rank, priority, run_at, id); }
};

// Of lanes one after the other, all that are plain before the others.
std::vector<Writer::Candidate> Writer::candidates(const Demand& demand, std::size_t most,
                                                  std::vector<Lane>& lanes) {
  auto& t = *tables_;
  std::vector<Candidate> all;
  const auto in = [&](const std::string& queue, const std::string& kind) {
    if (lanes.empty() || lanes.back().queue != queue || lanes.back().kind != kind) {
      lanes.push_back({queue, kind});
    }
    return lanes.size() - 1;
  };
  if (t.candidates) {
    name_demand(demand);
    t.most = static_cast<long long>(most);
    t.candidates.rows([&] {
      const bool keyed = t.kind.empty();
      const LimitedLane lane =
          keyed ? LimitedLane::of(t.queue)
                : LimitedLane{t.queue, t.kind, static_cast<std::int16_t>(t.priority)};
      const std::size_t at = in(lane.queue, lane.kind);
      all.push_back({rank_of(demand, lane.queue), lane.priority, t.run_at, t.id, at,
                     keyed, t.limit_key, t.rate_key});
    });
    return all;
  }
  std::vector<LimitedLane> keyed;
  t.all_lanes.rows([&] {
    if (!t.kind.empty()) {
      if (names(demand, t.queue, t.kind)) lanes.push_back({t.queue, t.kind});
      return;
    }
    LimitedLane lane = LimitedLane::of(t.queue);
    if (names(demand, lane.queue, lane.kind)) keyed.push_back(std::move(lane));
  });
  if (!lanes.empty()) {
    for (const auto& c : t.lanes.candidates(lanes, demand, most, now_)) {
      all.push_back(
          {c.rank, static_cast<int>(c.priority), c.run_at, c.id, c.lane, false, "", ""});
    }
  }
  for (auto& c : t.limited_lanes.candidates(keyed, most, now_)) {
    const std::size_t at = in(c.lane.queue, c.lane.kind);
    all.push_back({rank_of(demand, c.lane.queue), c.lane.priority, c.run_at, c.id, at,
                   true, std::move(c.limit_key), std::move(c.rate_key)});
  }
  return all;
}

Writer::Choice Writer::choose(const Demand& demand, std::size_t max, QueueRooms rooms,
                              const std::set<JobId>& passed_over) {
  std::vector<Lane> lanes;
  // One more than may be taken: whether the lane holds more.
  std::vector<Candidate> all = candidates(demand, max + passed_over.size() + 1, lanes);
  chose_limited_ =
      std::any_of(all.begin(), all.end(), [](const Candidate& c) { return c.keyed; });
  if (chose_limited_) tables_->limits.saw_some();
  std::erase_if(all,
                [&](const Candidate& c) { return passed_over.contains(to_id(c.id)); });
  std::sort(all.begin(), all.end(),
            [](const Candidate& a, const Candidate& b) { return a.order() < b.order(); });
  Choice choice;
  std::vector<std::size_t> take(lanes.size());
  std::vector<bool> more(lanes.size());
  std::size_t chosen = 0;
  for (Candidate& c : all) {
    if (chosen == max || rooms.take(lanes[c.lane].queue, 1) == 0) {
      more[c.lane] = true;
      continue;
    }
    ++chosen;
    if (c.keyed) {
      choice.limited.push_back(
          {to_id(c.id), std::move(c.limit_key), std::move(c.rate_key)});
    } else {
      ++take[c.lane];
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
  const auto until = std::chrono::steady_clock::now() + kLongestClaim;
  bool chose_again = false;
  for (bool again = true; again && taken.jobs.size() < max;) {
    again = false;
    Choice choice = choose(demand, max - taken.jobs.size(), rooms, passed_over);
    taken.leftover = std::move(choice.leftover);
    std::vector<Claimed> claimed;
    std::vector<JobId> anew;
    if (!choice.limited.empty()) {
      const bool alone = passed_over.empty() && choice.shares.empty();
      const std::size_t chosen = choice.limited.size();
      // The busy ones, too, and what is not what it looked like.
      for (const Limits::Asked& job : choice.limited) passed_over.insert(job.id);
      claimed = claim_chosen(claiming, std::move(choice.limited), alone,
                             chose_again ? nullptr : &anew);
      again = claimed.size() < chosen && std::chrono::steady_clock::now() < until;
    }
    if (!anew.empty()) {
      // Others have come beside them, which may be better, and those of the shares not
      // be.
      chose_again = again = true;
      for (const JobId id : anew) passed_over.erase(id);
    } else if (!choice.shares.empty()) {
      auto others = claim_lanes(claiming, choice.shares, false);
      t.limits.claimed_plain(others, t.reserved);
      std::move(others.begin(), others.end(), std::back_inserter(claimed));
    }
    for (const Claimed& c : claimed) rooms.take(c.queue, 1);
    std::move(claimed.begin(), claimed.end(), std::back_inserter(taken.jobs));
  }
  const auto order = [&](const Claimed& c) {
    return std::tuple(rank_of(demand, c.queue), c.priority, t.run_ats[c.lease.id],
                      c.lease.id);
  };
  std::sort(taken.jobs.begin(), taken.jobs.end(),
            [&](const Claimed& a, const Claimed& b) { return order(a) < order(b); });
  t.run_ats.clear();
  settle();
  // What is busy is waited for only where there is nothing else: others run meanwhile.
  if (taken.jobs.empty() && t.limits.wait_for_busy()) throw NextTransaction{};
  return taken;
}

}  // namespace carrel::sql::server
