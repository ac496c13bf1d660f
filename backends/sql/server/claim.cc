// What is claimed: of tickets, and of a demand.
#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "group_commit.h"
#include "server/writer_tables.h"

namespace carrel::sql::server {

// Of each queue they are in order already.
void Writer::put_in_order(std::vector<Claimed>& jobs, const Demand& demand) {
  std::stable_sort(jobs.begin(), jobs.end(), [&](const Claimed& a, const Claimed& b) {
    return rank_of(demand, a.queue) < rank_of(demand, b.queue);
  });
}

std::vector<std::string> Writer::paused() {
  std::vector<std::string> queues;
  tables_->paused.rows([&] { queues.push_back(tables_->queue); });
  return queues;
}

std::vector<ClaimAnswer> Writer::claim(std::span<const Ticket> tickets,
                                       std::string_view worker,
                                       std::uint64_t claim_number, Duration lease) {
  std::vector<JobId> ids;
  ids.reserve(tickets.size());
  for (const Ticket& ticket : tickets) ids.push_back(ticket.id);
  const Claiming claiming{worker, claim_number, lease};
  std::unordered_map<JobId, Claimed> granted;
  const auto grant = [&](std::vector<Claimed> claimed) {
    for (Claimed& c : claimed) granted.emplace(c.lease.id, std::move(c));
  };
  auto& limits = tables_->limits;
  auto& queues = tables_->queues;
  std::vector<JobId> asked = ids;
  if (queues.any()) limits.lock_queues(queues.all());
  const bool limited = limits.any();
  if (limited) limits.know_to_claim(ids);
  StoredRows asked_rows;
  if (limited || queues.any()) {
    asked_rows = tables_->rows_of.try_lock(ids);
    asked = startable(ids, asked_rows, paused(), now_);
  }
  // What a limit refuses leaves its place in its queue to another.
  const auto until = std::chrono::steady_clock::now() + kLongestClaim;
  while (!asked.empty()) {
    const std::vector<JobId> in_queue =
        queues.any() ? queues.admit(asked, asked_rows) : asked;
    if (limited) grant(claim_limited(claiming, limits.admit(in_queue).admitted));
    auto plain = claim_ids(claiming, in_queue, static_cast<int>(State::kAvailable));
    limits.claimed_plain(plain, tables_->reserved);
    grant(std::move(plain));
    const auto refused = [&](JobId id) { return !granted.contains(id); };
    if (!queues.any() || std::ranges::none_of(in_queue, refused)) break;
    if (std::chrono::steady_clock::now() >= until) break;
    const std::unordered_set<JobId> tried(in_queue.begin(), in_queue.end());
    std::erase_if(asked, [&](JobId id) { return tried.contains(id); });
  }
  if (limited) settle();
  tables_->run_ats.clear();
  std::vector<JobId> refused;
  for (const JobId id : ids) {
    if (!granted.contains(id)) refused.push_back(id);
  }
  // One that has a limit may be among them: all of it again, now that this is known.
  if (!limited && !refused.empty() && limits.look()) throw Conflict{};
  // What others hold is not there for this claim.
  auto rows = tables_->rows_of.try_lock(refused);
  const auto held = rows.empty() ? std::vector<std::string>{} : paused();
  std::vector<ClaimAnswer> answers;
  answers.reserve(ids.size());
  for (const JobId id : ids) {
    if (auto found = granted.find(id); found != granted.end()) {
      answers.emplace_back(std::move(found->second));
      granted.erase(found);  // the same ticket again is refused
      continue;
    }
    Refusal why = Refusal::kGone;
    if (auto row = rows.find(id); row != rows.end()) {
      rules::Row tried = row->second.rule;
      // Else its queue is full, or others hold its key.
      const bool is_paused =
          std::find(held.begin(), held.end(), row->second.queue) != held.end();
      why = rules::claim(tried, rules::WorkerId(worker), claim_number, lease, now_)
                .value_or(is_paused ? Refusal::kPaused : Refusal::kLimited);
    }
    answers.emplace_back(tl::unexpected(why));
  }
  return answers;
}

Writer::Taken Writer::take(const Demand& demand, std::string_view worker,
                           std::uint64_t claim_number, Duration lease) {
  if (demand.kinds.empty() || demand.max == 0) return {};
  const std::size_t max = std::min<std::size_t>(demand.max, 1U << 20);
  auto& limits = tables_->limits;
  QueueRooms rooms(demand);
  if (auto& queues = tables_->queues; queues.any()) {
    const auto limited = queues.among(demand);
    tables_->limits.lock_queues(limited);
    queues.narrow(rooms, limited);
  }
  // Where the last claim saw some there are others, most likely: that one finds out.
  const bool chose = std::exchange(chose_limited_, false);
  const bool found = std::exchange(found_limited_, false) || chose;
  if ((found && limits.any()) || limits.any_available()) {
    return take_with_limits({worker, claim_number, lease}, demand, max, rooms);
  }
  Taken taken = take_plain({worker, claim_number, lease}, demand, max, rooms);
  if (taken.jobs.empty() && tables_->limits.look()) {
    return take_with_limits({worker, claim_number, lease}, demand, max, std::move(rooms));
  }
  return taken;
}

// Of jobs that have to ask for no limit or rate.
Writer::Taken Writer::take_plain(const Claiming& claiming, const Demand& demand,
                                 std::size_t max, QueueRooms rooms) {
  Taken taken;
  std::vector<std::pair<Lane, std::size_t>> shares;
  if (demand.queues.size() == 1 && demand.kinds.size() == 1) {
    // The one lane there may be: what is in it and whether it is paused, the claim sees.
    const std::size_t most = rooms.take(demand.queues[0], max);
    if (most > 0) shares.push_back({{demand.queues[0], demand.kinds[0]}, most});
  } else {
    std::vector<Lane> lanes = tables_->lanes.find(&demand);
    lone_lane_ = lanes.size() <= 1;
    if (lanes.empty()) return taken;
    if (lanes.size() == 1) {
      const std::size_t most = rooms.take(lanes[0].queue, max);
      if (most > 0) shares.push_back({std::move(lanes[0]), most});
    } else {
      const Lanes::Best best =
          tables_->lanes.best(lanes, demand, max, std::move(rooms), now_);
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        if (best.shares[i].more) taken.leftover.push_back(lanes[i]);
        if (best.shares[i].take == 0) continue;
        shares.push_back({std::move(lanes[i]), best.shares[i].take});
      }
    }
  }
  if (shares.empty()) return taken;
  taken.jobs = claim_lanes(claiming, shares, true);
  if (demand.in_order) put_in_order(taken.jobs, demand);
  tables_->limits.claimed_plain(taken.jobs, tables_->reserved);
  if (shares.size() == 1 && taken.jobs.size() == shares[0].second) {
    taken.leftover.push_back(shares[0].first);  // perhaps
  }
  return taken;
}

}  // namespace carrel::sql::server
