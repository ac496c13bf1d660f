#include <algorithm>
#include <tuple>

#include "sqlite_writer_statements.h"

namespace carrel::sql::sqlite {
namespace {

long long end_of(Duration lease, Time at) {
  rules::Row row;
  row.max_attempts = 1;
  rules::claim(row, "", 0, lease, at);
  return row.wake_at.time_since_epoch().count();
}

}  // namespace

std::unordered_map<JobId, Writer::Fresh> Writer::claim_ids(std::span<const JobId> ids,
                                                           std::string_view worker,
                                                           std::uint64_t claim_number,
                                                           Duration lease, Time at) {
  auto& s = *statements_;
  std::unordered_map<JobId, Fresh> fresh;
  if (ids.empty()) return fresh;
  fresh.reserve(ids.size());
  s.ids = json_array(ids);
  s.worker = worker;
  s.claim_number = static_cast<long long>(claim_number);
  s.now = at.time_since_epoch().count();
  s.lease_end = end_of(lease, at);
  std::vector<JobId> beside;
  s.claim.rows([&] {
    const JobId id{static_cast<std::uint64_t>(s.id)};
    Fresh& f = fresh[id];
    f.run_at = s.run_at;
    Claimed& c = f.claimed;
    c.lease = {id, Fence{static_cast<std::uint64_t>(s.fence)}};
    c.queue = s.queue;
    c.kind = s.kind;
    if (s.has_bytes == soci::i_ok) {
      c.payload = s.bytes;
    } else {
      beside.push_back(id);
    }
    c.timeout = Duration(s.timeout);
    c.priority = static_cast<std::int16_t>(s.priority);
    c.attempt = static_cast<std::uint16_t>(s.attempt);
    c.max_attempts = static_cast<std::uint16_t>(s.max_attempts);
    c.crashes = static_cast<std::uint16_t>(s.crashes);
  });
  for (const JobId id : beside) {
    s.id = to_column(id);
    if (s.read_payload.run()) fresh[id].claimed.payload = s.bytes;
  }
  for (auto& [id, f] : fresh) {
    if (value(f.claimed.lease.fence) == 1) continue;  // nothing ran before
    if (auto notes = notes_.read(id)) f.claimed.checkpoint = std::move(notes->checkpoint);
  }
  return fresh;
}

std::vector<ClaimAnswer> Writer::claim(std::span<const Ticket> tickets,
                                       std::string_view worker,
                                       std::uint64_t claim_number, Duration lease) {
  const Time at = now();
  std::vector<JobId> ids;
  ids.reserve(tickets.size());
  for (const Ticket& ticket : tickets) ids.push_back(ticket.id);
  auto fresh = claim_ids(ids, worker, claim_number, lease, at);
  std::vector<JobId> refused;
  for (const JobId id : ids) {
    if (!fresh.contains(id)) refused.push_back(id);
  }
  auto rows = loader_.load(refused);
  std::vector<ClaimAnswer> answers;
  answers.reserve(ids.size());
  for (const JobId id : ids) {
    if (auto found = fresh.find(id); found != fresh.end()) {
      answers.emplace_back(std::move(found->second.claimed));
      fresh.erase(found);  // the same ticket again is refused
      continue;
    }
    Refusal why = Refusal::kGone;
    if (auto row = rows.find(id); row != rows.end()) {
      rules::Row tried = row->second.rule;
      why =
          rules::claim(tried, worker, claim_number, lease, at).value_or(Refusal::kPaused);
    }
    answers.emplace_back(tl::unexpected(why));
  }
  return answers;
}

Writer::Taken Writer::take(const Demand& demand, std::string_view worker,
                           std::uint64_t claim_number, Duration lease) {
  const Time at = now();
  Lanes::Best best = lanes_.best(demand, at);
  Taken taken;
  taken.leftover = std::move(best.leftover);
  std::vector<JobId> ids;
  ids.reserve(best.tickets.size());
  for (const Ticket& ticket : best.tickets) ids.push_back(ticket.id);
  auto fresh = claim_ids(ids, worker, claim_number, lease, at);
  taken.jobs.reserve(ids.size());
  for (const JobId id : ids) {
    if (auto found = fresh.find(id); found != fresh.end()) {
      taken.jobs.push_back(std::move(found->second.claimed));
    }
  }
  return taken;
}

}  // namespace carrel::sql::sqlite
