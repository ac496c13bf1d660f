#include <carrel/clock.h>

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "writer_statements.h"

namespace carrel::sql::sqlite {
Time Writer::begin_claim(std::string_view worker, std::uint64_t claim_number,
                         Duration lease) {
  auto& s = *statements_;
  granted_at_ = boot_time();  // before the store's clock is read
  const Time at = now();
  s.worker = worker;
  s.claim_number = static_cast<long long>(claim_number);
  s.now = at.time_since_epoch().count();
  s.lease_end = end_of_lease(lease, at).time_since_epoch().count();
  grant_.reset();
  return at;
}

Claimed Writer::picked_row() {
  auto& s = *statements_;
  Claimed c;
  c.lease = {JobId{static_cast<std::uint64_t>(s.id)},
             Fence{static_cast<std::uint64_t>(s.fence)}};
  c.queue = s.queue;
  c.kind = s.kind;
  if (s.has_bytes == soci::i_ok) c.payload = s.bytes;
  c.timeout = Duration(s.timeout);
  c.priority = static_cast<std::int16_t>(s.priority);
  c.attempt = static_cast<std::uint16_t>(s.attempt);
  c.max_attempts = static_cast<std::uint16_t>(s.max_attempts);
  c.crashes = static_cast<std::uint16_t>(s.crashes);
  c.granted = granted_at_;
  return c;
}

// Makes rows that were picked what they were said to be.
void Writer::mark(std::vector<Claimed>& picked) {
  if (picked.empty()) return;
  auto& s = *statements_;
  std::vector<JobId> ids;
  ids.reserve(picked.size());
  for (const Claimed& c : picked) {
    ids.push_back(c.lease.id);
    if (!grant_ || grant_->queue != c.queue) {
      grant_ = std::make_shared<Grant>(Grant{c.queue, s.worker, to_time(s.now)});
    }
    granting_.emplace_back(c.lease.id, Granted{c.lease.fence, grant_});
  }
  s.ids = json_array(ids);
  s.mark.run();
  complete_claim(picked);
}

std::vector<Claimed> Writer::claim_ids(std::span<const JobId> ids) {
  auto& s = *statements_;
  std::vector<Claimed> picked;
  if (ids.empty()) return picked;
  picked.reserve(ids.size());
  s.ids = json_array(ids);
  s.pick_ids.rows([&] { picked.push_back(picked_row()); });
  mark(picked);
  return picked;
}

std::vector<Claimed> Writer::claim_lane(const Lane& lane, std::size_t most) {
  auto& s = *statements_;
  name_lane(lane, most);
  std::vector<Claimed> picked;
  s.pick_lane.rows([&] { picked.push_back(picked_row()); });
  mark(picked);
  return picked;
}

void Writer::name_lane(const Lane& lane, std::size_t most) {
  auto& s = *statements_;
  s.queue = lane.queue;
  s.kind = lane.kind;
  s.most = static_cast<long long>(std::min<std::size_t>(most, 1U << 20));
}

// Likewise, where some have limits or rates. Those that these refuse are out of the lane
// then, and others are looked for.
Writer::Taken Writer::claim_limited_lane(const Lane& lane, std::size_t most, Time at) {
  auto& s = *statements_;
  Taken taken;
  while (taken.jobs.size() < most) {
    const std::size_t wanted = most - taken.jobs.size();
    name_lane(lane, wanted);
    std::vector<Claimed> picked;
    std::vector<JobId> ids;
    Limits::Asked limited;
    s.pick_limited_lane.rows([&] {
      picked.push_back(picked_row());
      ids.push_back(picked.back().lease.id);
      if (s.limit == 0) return;
      limited.emplace(ids.back(), Limits::Limited{s.limit_key, s.limit, s.some_run != 0});
    });
    const bool more = picked.size() == wanted;
    // In the order of `ids`, which is the rows'.
    const std::vector<JobId> admitted = limits_.admit(ids, limited, at);
    auto next = admitted.begin();
    std::erase_if(picked, [&](const Claimed& c) {
      if (next == admitted.end() || *next != c.lease.id) return true;
      ++next;
      return false;
    });
    mark(picked);
    limits_.started(picked, at);
    std::move(picked.begin(), picked.end(), std::back_inserter(taken.jobs));
    if (!more) return taken;
  }
  taken.leftover = {lane};  // perhaps
  return taken;
}

// What most rows do not have: a payload beside the row, a checkpoint.
void Writer::complete_claim(std::vector<Claimed>& claimed) {
  auto& s = *statements_;
  for (Claimed& c : claimed) {
    if (c.payload.empty()) {  // in its row, that is
      s.id = to_column(c.lease.id);
      if (s.read_payload.run()) c.payload = s.bytes;
    }
    if (value(c.lease.fence) == 1) continue;  // nothing ran before
    if (auto notes = notes_.read(c.lease.id)) c.checkpoint = std::move(notes->checkpoint);
  }
}

std::vector<ClaimAnswer> Writer::claim(std::span<const Ticket> tickets,
                                       std::string_view worker,
                                       std::uint64_t claim_number, Duration lease) {
  const Time at = begin_claim(worker, claim_number, lease);
  std::vector<JobId> ids;
  ids.reserve(tickets.size());
  for (const Ticket& ticket : tickets) ids.push_back(ticket.id);
  std::unordered_map<JobId, Claimed> granted;
  const bool limited = limits_.any_available();
  std::vector<JobId> asked = ids;
  StoredRows asked_rows;
  if (limited || queues_.any()) {
    asked_rows = loader_.load(ids);
    asked = startable(ids, asked_rows, lanes_.paused(), at);
  }
  // What a limit refuses leaves its place in its queue to another.
  while (!asked.empty()) {
    const std::vector<JobId> in_queue =
        queues_.any() ? queues_.admit(asked, asked_rows) : asked;
    const std::vector<JobId> admitted = limited ? limits_.admit(in_queue, at) : in_queue;
    auto claimed = claim_ids(admitted);
    if (limited) limits_.started(claimed, at);
    for (Claimed& c : claimed) granted.emplace(c.lease.id, std::move(c));
    if (!queues_.any() || admitted.size() == in_queue.size()) break;
    const std::unordered_set<JobId> tried(in_queue.begin(), in_queue.end());
    std::erase_if(asked, [&](JobId id) { return tried.contains(id); });
  }
  freed(at);
  std::vector<JobId> refused;
  for (const JobId id : ids) {
    if (!granted.contains(id)) refused.push_back(id);
  }
  auto rows = loader_.load(refused);
  const auto paused = rows.empty() ? std::vector<std::string>{} : lanes_.paused();
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
      const bool is_paused =
          std::binary_search(paused.begin(), paused.end(), row->second.queue);
      why = rules::claim(tried, rules::WorkerId(worker), claim_number, lease, at)
                .value_or(is_paused ? Refusal::kPaused : Refusal::kLimited);
    }
    answers.emplace_back(tl::unexpected(why));
  }
  return answers;
}

Writer::Taken Writer::take(const Demand& demand, std::string_view worker,
                           std::uint64_t claim_number, Duration lease) {
  Taken taken;
  if (demand.kinds.empty() || demand.max == 0) return taken;
  const Time at = begin_claim(worker, claim_number, lease);
  const std::vector<Lane> lanes = lanes_.find(&demand);
  if (lanes.empty()) return taken;
  QueueRooms rooms(demand);
  if (queues_.any()) queues_.narrow(rooms, demand);
  const bool limited = limits_.any_available();
  if (lanes.size() == 1) {
    const std::size_t most = rooms.take(lanes[0].queue, demand.max);
    if (limited) {
      taken = claim_limited_lane(lanes[0], most, at);
      freed(at);
      return taken;
    }
    if (most > 0) taken.jobs = claim_lane(lanes[0], most);
    if (taken.jobs.size() == most) taken.leftover = lanes;  // perhaps
    return taken;
  }
  taken.jobs.reserve(demand.max);
  take_best(lanes, demand, rooms, limited, at, taken);
  if (limited) freed(at);
  return taken;
}

void Writer::take_best(const std::vector<Lane>& lanes, const Demand& demand,
                       QueueRooms& rooms, bool limited, Time at, Taken& taken) {
  for (bool again = true; again && taken.jobs.size() < demand.max;) {
    Lanes::Best best =
        lanes_.best(lanes, demand, demand.max - taken.jobs.size(), rooms, at);
    taken.leftover = std::move(best.leftover);
    std::vector<JobId> ids;
    ids.reserve(best.tickets.size());
    for (const Ticket& ticket : best.tickets) ids.push_back(ticket.id);
    again = false;
    if (limited) {
      // What is refused leaves its place in a bounded queue to another, which may come
      // before the rest.
      auto admitted = limits_.admit(ids, at, [&](std::size_t i) {
        return rooms.of(best.tickets[i].queue) != nullptr;
      });
      again = admitted.size() < ids.size();  // those are out of the way now
      ids = std::move(admitted);
    }
    std::unordered_map<JobId, Claimed> granted;
    auto claimed = claim_ids(ids);
    if (limited) limits_.started(claimed, at);
    for (Claimed& c : claimed) granted.emplace(c.lease.id, std::move(c));
    for (const JobId id : ids) {
      if (auto found = granted.find(id); found != granted.end()) {
        rooms.take(found->second.queue, 1);
        taken.jobs.push_back(std::move(found->second));
      }
    }
  }
}

}  // namespace carrel::sql::sqlite
