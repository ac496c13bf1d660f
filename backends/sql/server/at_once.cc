// Transactions of one statement, which are sent as that alone: one round trip. And claims
// of one lane where such a claim is several statements: they are sent together.
//
// The server's clock is read where the statement runs: instants are counted from then.
#include <algorithm>
#include <iterator>
#include <stdexcept>
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
  if (jobs.size() == 1 && !begun_ && tables_->insert_job) {
    all[0] = insert_alone(*jobs[0]);
  } else {
    std::vector<std::optional<JobId>> no_ids(jobs.size());
    insert_rows(jobs, all, no_ids, std::vector<bool>(jobs.size()));
  }
  auto next = std::make_move_iterator(all.begin());
  for (const Gathered& each : gathered) {
    const auto end = next + static_cast<std::ptrdiff_t>(each.jobs.size());
    each.answers->assign(next, end);
    next = end;
  }
}

Inserted Writer::insert_alone(const NewJob& job) {
  auto& t = *tables_;
  const rules::Row row =
      rules::admit(now_, job.delay, job.start_within, job.max_attempts);
  const bool available = row.state == State::kAvailable;
  t.state = static_cast<int>(row.state);
  t.queue = job.queue;
  t.kind = job.kind;
  t.priority = job.priority;
  t.max_attempts = row.max_attempts;
  t.wake_at.set(wake_column(row));
  t.expires_at.set(to_column(row.expires_at));
  t.run_at = (available ? now_ : row.wake_at).time_since_epoch().count();
  t.timeout = job.timeout.count();
  t.bytes = to_hex(job.payload);
  if (available && lend(job)) return start_alone(job, row);
  if (!t.insert_job.run()) throw std::runtime_error("a row without an id");
  return inserted_alone(job, available);
}

Inserted Writer::inserted_alone(const NewJob& job, bool available) {
  Inserted answer;
  answer.id = to_id(tables_->id);
  if (available) {
    answer.ticket = {answer.id, job.queue, job.kind, job.priority};
    add_work(job.queue, job.kind);
  }
  return answer;
}

// Whether a claim waits for it that asks for nothing but rows.
bool Writer::lend(const NewJob& job) {
  if (!lends_ || !options_.queue_limits.empty()) return false;
  loan_ = waiters_.lend({job.queue, job.kind});
  if (loan_ && loan_.claiming().lease > kFar) loan_ = {};
  return static_cast<bool>(loan_);
}

// Brings it running, which is all that its claim would do: a transaction less, and a
// version less of the row. What the row says of the job is in the variables.
Inserted Writer::start_alone(const NewJob& job, const rules::Row& row) {
  auto& t = *tables_;
  begin_claim(loan_.claiming());
  name_demand(loan_.demand());
  Claimed claimed;
  claimed.queue = job.queue;
  claimed.kind = job.kind;
  claimed.payload = job.payload;
  claimed.timeout = job.timeout;
  claimed.priority = job.priority;
  claimed.attempt = 1;
  claimed.max_attempts = row.max_attempts;
  claimed.granted = asked_;
  started_.reserve(1);  // once it is committed, nothing is to fail
  if (!(idle_ && t.start_job_if_idle && t.start_job_if_idle.run())) {
    if (!t.start_job.run()) throw std::runtime_error("a row without an id");
    idle_ = t.idle != 0;
  }
  if (to_state(t.state) != State::kRunning) {
    loan_ = {};
    return inserted_alone(job, true);
  }
  claimed.lease = {to_id(t.id), Fence{1}};
  started_.push_back(std::move(claimed));
  t.limits.claimed_plain(started_, {});
  return inserted_alone(job, false);
}

std::optional<Writer::Taken> Writer::take_at_once(const Demand& demand,
                                                  std::string_view worker,
                                                  std::uint64_t claim_number,
                                                  Duration lease) {
  auto& t = *tables_;
  const bool in_two = driver_.statements().pick_lone != nullptr;
  if (!alone_ || !(t.claim_lone || in_two) || !connection_.session().commits_alone() ||
      lease > kFar || demand.max == 0 || demand.kinds.empty() ||
      !options_.queue_limits.empty()) {
    return std::nullopt;
  }
  const bool named = demand.queues.size() == 1 && demand.kinds.size() == 1;
  if (!named && (!lone_lane_ || !demand.bounds.empty())) return std::nullopt;
  std::size_t most = std::min<std::size_t>(demand.max, 1U << 20);
  if (named) most = QueueRooms(demand).take(demand.queues[0], most);
  if (most == 0) return std::nullopt;
  if (chose_limited_ || t.limits.wants_slots()) return std::nullopt;
  start(Time{});
  const bool sure = t.claim_lone_unless_limited && t.limits.may_be_available();
  const std::uint64_t made = t.limits.made();
  if (!sure && t.limits.any_available()) {
    found_limited_ = true;
    return std::nullopt;
  }
  const Claiming claiming{worker, claim_number, lease};
  std::size_t lanes = 1;
  Taken taken;
  if (in_two) {
    taken.jobs = named ? pick_named(claiming, demand, most)
                       : pick_lone(claiming, demand, most, lanes);
  } else {
    committing_ = true;
    if (named) {
      const std::pair<Lane, std::size_t> share{{demand.queues[0], demand.kinds[0]}, most};
      taken.jobs = claim_lanes(claiming, {&share, 1}, true, sure);
    } else {
      taken.jobs = claim_lone(claiming, demand, most, lanes, sure);
    }
  }
  if (!named) lone_lane_ = lanes <= 1;
  if (lanes > 1) {
    committing_ = false;
    return std::nullopt;
  }
  // What else there is takes more; and a claim that was to make sure has taken nothing
  // where it found any, plain jobs neither.
  if (taken.jobs.empty() && (sure || t.limits.look())) {
    found_limited_ = true;
    committing_ = false;
    // pick_named tells the time only with rows, and has begun what goes on.
    if (begun_ && now_ == Time{}) start(connection_.session().now());
    return std::nullopt;
  }
  if (sure && !taken.jobs.empty()) t.limits.saw_none(made);
  t.limits.claimed_plain(taken.jobs, t.reserved);
  if (taken.jobs.size() == most) {
    taken.leftover.push_back({taken.jobs[0].queue, taken.jobs[0].kind});  // perhaps
  }
  return taken;
}

}  // namespace carrel::sql::server
