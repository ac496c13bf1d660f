// Transactions of one statement, which are sent as that alone: one round trip.
//
// The server's clock is read where the statement runs: instants are counted from then.
#include <algorithm>
#include <iterator>
#include <utility>

#include "server/writer_tables.h"

namespace carrel::sql::server {
namespace {

// Added to any time of the server's it stays a time.
constexpr Duration kFar = std::chrono::hours(24 * 365 * 100);

bool is_plain(const NewJob& job) {
  return job.request_id.empty() && !job.unique && !job.limit && !job.rate &&
         job.payload.size() <= kInlinePayload && job.delay < kFar &&
         job.start_within < kFar;
}

// What a row says beside its payload, and its names.
constexpr std::size_t kOtherBytes = 256;

}  // namespace

void Writer::insert_with_others(std::span<const NewJob* const> jobs,
                                std::vector<Inserted>& answers) {
  if (connection_.session().commits_alone() &&
      std::all_of(jobs.begin(), jobs.end(),
                  [](const NewJob* job) { return is_plain(*job); })) {
    gathered_.push_back({jobs, &answers});
    return;
  }
  answers = perform([&](Writer& writer) { return writer.insert(jobs); });
}

bool Writer::are_one_statement() const {
  std::size_t jobs = 0;
  std::size_t bytes = 0;
  for (const Gathered& each : gathered_) {
    jobs += each.jobs.size();
    for (const NewJob* job : each.jobs) {
      bytes +=
          kOtherBytes + 2 * (job->payload.size() + job->queue.size() + job->kind.size());
    }
  }
  return jobs <= kRowsAStatement && bytes <= JsonRows::kFull;
}

void Writer::write_gathered() {
  const auto gathered = std::exchange(gathered_, {});
  std::vector<const NewJob*> jobs;
  for (const Gathered& each : gathered) {
    jobs.insert(jobs.end(), each.jobs.begin(), each.jobs.end());
  }
  std::vector<Inserted> all(jobs.size());
  std::vector<std::optional<JobId>> no_ids(jobs.size());
  insert_rows(jobs, all, no_ids, std::vector<bool>(jobs.size()));
  auto next = std::make_move_iterator(all.begin());
  for (const Gathered& each : gathered) {
    const auto end = next + static_cast<std::ptrdiff_t>(each.jobs.size());
    each.answers->assign(next, end);
    next = end;
  }
}

std::optional<Writer::Taken> Writer::take_at_once(const Demand& demand,
                                                  std::string_view worker,
                                                  std::uint64_t claim_number,
                                                  Duration lease) {
  auto& t = *tables_;
  if (!alone_ || !t.claim_lone || !connection_.session().commits_alone() ||
      lease > kFar || demand.max == 0 || demand.kinds.empty() ||
      !options_.queue_limits.empty()) {
    return std::nullopt;
  }
  const bool named = demand.queues.size() == 1 && demand.kinds.size() == 1;
  if (!named && (!lone_lane_ || !demand.bounds.empty())) return std::nullopt;
  std::size_t most = std::min<std::size_t>(demand.max, 1U << 20);
  if (named) most = QueueRooms(demand).take(demand.queues[0], most);
  if (most == 0) return std::nullopt;
  start(Time{});
  if (!t.limits.none()) return std::nullopt;
  committing_ = true;
  const Claiming claiming{worker, claim_number, lease};
  Taken taken;
  if (named) {
    const std::pair<Lane, std::size_t> share{{demand.queues[0], demand.kinds[0]}, most};
    taken.jobs = claim_lanes(claiming, {&share, 1});
  } else {
    std::size_t lanes = 0;
    taken.jobs = claim_lone(claiming, demand, most, lanes);
    lone_lane_ = lanes <= 1;
    if (!lone_lane_) {
      committing_ = false;
      return std::nullopt;
    }
  }
  t.limits.claimed_plain(taken.jobs);
  if (taken.jobs.size() == most) {
    taken.leftover.push_back({taken.jobs[0].queue, taken.jobs[0].kind});  // perhaps
  }
  return taken;
}

}  // namespace carrel::sql::server
