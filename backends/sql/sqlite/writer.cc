// The writer's transactions, and what every move of a row brings with it.
#include "writer.h"

#include <algorithm>

#include "schema_version.h"
#include "writer_statements.h"

namespace carrel::sql::sqlite {

Writer::Writer(Settings settings, BackendOptions options, Waiters& waiters, Gate* gate,
               Place& place)
    : settings_(std::move(settings)),
      options_(std::move(options)),
      waiters_(waiters),
      gate_(gate),
      place_(place),
      statements_(std::make_unique<Statements>(place_)),
      loader_(place_.soci()),
      saver_(place_.soci()),
      attempts_(place_.soci()),
      notes_(place_.soci()),
      lanes_(place_.soci()),
      queues_(place_.soci(), options_.queue_limits),
      limits_(place_.soci(), loader_, saver_),
      uniques_(place_.soci()) {}

Writer::~Writer() = default;

Result<void> Writer::begin() noexcept {
  if (gate_ != nullptr && !gate_held_) {
    if (auto turn = gate_->lock(settings_.busy_timeout); !turn) return turn;
    gate_held_ = true;
  }
  if (auto ok = place_.check_file(); !ok) {
    end();
    return ok;
  }
  try {
    statements_->begin.run();
    check_schema();
    limits_.begin();
    return {};
  } catch (...) {
    Error error = current_error();
    rollback();
    end();
    return tl::unexpected(std::move(error));
  }
}

// A newer program may have brought the file forward since it was opened. Whatever changes
// a schema changes SQLite's cookie of it, which costs nothing to read.
void Writer::check_schema() {
  statements_->schema_cookie.run();
  const long long cookie = statements_->number;
  if (cookie == seen_cookie_) return;
  read_version(place_.soci());
  seen_cookie_ = cookie;
}

// It would come with a transaction of its own at once. What it takes may be better than
// what was brought. Where much was brought, whoever brought it is not to wait for claims.
void Writer::claim_for_who_waits() {
  constexpr std::size_t kMost = 16;
  std::size_t jobs = 0;
  for (const Lane& lane : work_) jobs += lane.jobs;
  if (!lends_ || jobs == 0 || jobs > kMost) return;
  for (const Lane& lane : work_) {
    if (loan_ = waiters_.lend(lane); loan_) break;
  }
  if (!loan_) return;
  const Waiters::Claiming& claiming = loan_.claiming();
  taken_ = take(loan_.demand(), claiming.worker, claiming.number, claiming.lease);
  if (taken_.jobs.empty()) loan_ = {};
  for (const Claimed& job : taken_.jobs) {
    for (Lane& lane : work_) {
      if (lane.queue == job.queue && lane.kind == job.kind && lane.jobs > 0) --lane.jobs;
    }
  }
  std::erase_if(work_, [](const Lane& lane) { return lane.jobs == 0; });
}

void Writer::commit() {
  claim_for_who_waits();
  auto& s = *statements_;
  const std::size_t most = options_.retention.max_rows;
  if (most != 0 && finals_ > most / 16) {
    trim(2 * finals_ + 16);
    finals_ = 0;
  }
  for (const auto& [key, change] : tally_) {
    if (change == 0) continue;
    s.queue = key.first;
    s.state = static_cast<int>(key.second);
    s.number = change;
    s.add_tally.run();
  }
  tally_.clear();
  s.commit.run();
}

void Writer::committed() noexcept {
  if (loan_) loan_.give(std::move(taken_.jobs), std::move(taken_.leftover));
  taken_ = {};
  lends_ = true;
  if (!work_.empty()) waiters_.work(work_);
  if (!ended_.empty()) waiters_.ended(ended_);
  work_.clear();
  ended_.clear();
  constexpr std::size_t kMost = 100'000;
  if (granted_.size() + granting_.size() > kMost) granted_.clear();
  for (auto& [id, granted] : granting_) granted_.insert_or_assign(id, std::move(granted));
  granting_.clear();
}

void Writer::rollback() noexcept {
  taken_ = {};
  work_.clear();
  ended_.clear();
  tally_.clear();
  doomed_.clear();
  granting_.clear();
  limits_.rollback();
  queues_.forget_eased();
  try {
    // After some errors, a full disk among them, SQLite has done it already.
    if (place_.in_transaction()) statements_->rollback.run();
  } catch (...) {
    options_.log(LogLevel::kError, current_error().message);
  }
}

void Writer::end() noexcept {
  if (!gate_held_) return;
  gate_->unlock();
  gate_held_ = false;
}

Error Writer::current_error() noexcept {
  Error error = place_.current_error();
  lends_ = !loan_;
  if (loan_) loan_.fail(error);
  return error;
}

void Writer::tick() noexcept {
  try {
    if (place_.may_have_changed()) unseen_ = true;
    if (unseen_) look_at_commits();
    // Each of those who wait for ends reads.
    constexpr auto kSeldom = std::chrono::milliseconds(100);
    const auto now = std::chrono::steady_clock::now();
    if (ends_unseen_ && now - looked_again_ >= kSeldom) {
      waiters_.look_again();
      looked_again_ = now;
      ends_unseen_ = false;
    }
    complaint_.clear();
  } catch (...) {
    const Error error = current_error();
    if (error.message == complaint_) return;
    complaint_ = error.message;
    options_.log(LogLevel::kWarn, complaint_);
  }
}

void Writer::look_at_commits() {
  // Counts the commits of others: this session's own do not change it. What they commit
  // from here on is seen at the next tick.
  statements_->data_version.run();
  if (const long long version = statements_->number; version != seen_version_) {
    waiters_.work(lanes_.find(nullptr));
    ends_unseen_ = true;
    seen_version_ = version;
  }
  unseen_ = false;
}

void Writer::tally(const std::string& queue, State state, long long change) {
  tally_[{queue, state}] += change;
}

void Writer::add_work(const std::string& queue, const std::string& kind) {
  for (Lane& lane : work_) {
    if (lane.queue == queue && lane.kind == kind) {
      ++lane.jobs;
      return;
    }
  }
  work_.push_back({queue, kind});
}

void Writer::became_final(JobId id, const std::string& queue, const rules::Row& row,
                          Time at) {
  ended_.push_back(id);
  tally(queue, row.state, 1);
  ++finals_;
  if (row.wake_at <= at) doomed_.push_back(id);
}

void Writer::moved(StoredRow& row, State before, Time at, const std::string* result) {
  const State after = row.rule.state;
  if (is_final(before)) tally(row.queue, before, -1);
  if (is_final(after)) {
    row.ended = at;
    became_final(row.id, row.queue, row.rule, at);
  } else {
    row.ended.reset();
  }
  if (after == State::kScheduled || after == State::kRetryable) {
    row.run_at = row.rule.wake_at;
  }
  if (limits_.any()) limits_.moving(row, at);
  if (before == State::kRunning) queues_.ended(row.queue);
  if (row.rule.state == State::kAvailable) add_work(row.queue, row.kind);
  if (result != nullptr) {
    saver_.save_finished(row, *result);
  } else {
    saver_.save(row);
  }
}

std::vector<Ticket> Writer::freed(Time at) {
  std::vector<Ticket> tickets;
  if (limits_.any()) {
    for (const StoredRow& row : limits_.settle(at)) {
      add_work(row.queue, row.kind);
      tickets.push_back(row.ticket());
    }
  }
  if (!queues_.any()) return tickets;
  for (const auto& [queue, ends] : queues_.take_eased()) {
    for (Ticket& ticket : best_of_queue(queue, ends)) {
      add_work(ticket.queue, ticket.kind);
      tickets.push_back(std::move(ticket));
    }
  }
  return tickets;
}

std::vector<Ticket> Writer::best_of_queue(const std::string& queue, std::size_t most) {
  std::vector<std::string> kinds;
  for (const Lane& lane : lanes_.find(nullptr)) {
    if (lane.queue == queue) kinds.push_back(lane.kind);
  }
  return lanes_.best({{&queue, 1}, kinds, most}, {}, now()).tickets;
}

void Writer::remove_doomed() {
  if (doomed_.empty()) return;
  purge(doomed_);
  doomed_.clear();
}

std::size_t Writer::purge(std::span<const JobId> ids) {
  if (ids.empty()) return 0;
  const auto rows = loader_.load(ids);
  std::vector<JobId> gone;
  for (const auto& [id, row] : rows) {
    if (!is_final(row.rule.state)) continue;
    tally(row.queue, row.rule.state, -1);
    gone.push_back(id);
    ended_.push_back(id);
  }
  auto& s = *statements_;
  s.ids = json_array(gone);
  uniques_.purging(s.ids, now());
  s.delete_jobs.run();
  s.delete_payloads.run();
  s.delete_notes.run();
  s.delete_attempts.run();
  s.delete_limits.run();
  s.delete_rates.run();
  return gone.size();
}

std::size_t Writer::trim(std::size_t most) {
  auto& s = *statements_;
  if (options_.retention.max_rows == 0 || most == 0) return 0;
  s.final_rows.run();
  long long rows = s.number;
  for (const auto& [key, change] : tally_) rows += change;
  const auto kept = static_cast<long long>(options_.retention.max_rows);
  if (rows <= kept) {
    too_many_ = false;
    return 0;
  }
  const auto excess = static_cast<std::size_t>(rows - kept);
  // Each state's rows come oldest first; the oldest of all are among the oldest of each.
  std::vector<std::pair<long long, JobId>> oldest;
  s.most = static_cast<long long>(std::min(excess, most));
  for (const State state : {State::kCompleted, State::kCancelled, State::kDiscarded}) {
    s.state = static_cast<int>(state);
    s.oldest.rows([&] {
      oldest.emplace_back(s.ended_at.value, JobId{static_cast<std::uint64_t>(s.id)});
    });
  }
  std::sort(oldest.begin(), oldest.end());
  oldest.resize(std::min({oldest.size(), excess, most}));
  std::vector<JobId> ids;
  ids.reserve(oldest.size());
  for (const auto& [ended, id] : oldest) ids.push_back(id);
  too_many_ = excess > ids.size();
  return purge(ids);
}

}  // namespace carrel::sql::sqlite
