// The writer's transactions, and what every move of a row brings with it.
#include "server/writer.h"

#include <carrel/clock.h>

#include <algorithm>
#include <utility>

#include "server/writer_tables.h"

namespace carrel::sql::server {

Writer::Writer(Driver& driver, const BackendOptions& options, Waiters& waiters,
               News& news, UsedLimits& limits_used)
    : driver_(driver),
      options_(options),
      waiters_(waiters),
      news_(news),
      limits_use_{limits_used, options.poll},
      clock_([this] {
        now_ = connection_.session().now();
        tables_->now = now_.time_since_epoch().count();
        return now_;
      }),
      connection_(driver) {}

Writer::~Writer() = default;

Result<void> Writer::begin() noexcept {
  begun_ = last_ = alone_ = committing_ = leaves_to_clear_ = false;
  asked_ = boot_time();
  if (may_have_died()) return open();
  tables_ = &connection_.tables();
  return {};
}

// Whoever does more than to begin on it must not learn of its end only then.
bool Writer::may_have_died() {
  constexpr std::chrono::seconds kLong{1};
  return !connection_.is_open() || !connection_.session().commits_alone() ||
         !connection_.session().is_quiet() ||
         std::chrono::steady_clock::now() - answered_ > kLong;
}

void Writer::start(Time now) {
  now_ = now;
  // What a host has locked before, nobody here knows.
  tables_->limits.begin(now, limits_use_, clock_, !connection_.session().is_lent());
  tables_->queues.begin(options_.queue_limits);
  tables_->now = now.time_since_epoch().count();
}

Result<void> Writer::open() noexcept {
  if (begun_) return {};
  alone_ = false;
  // A connection that lay idle may have died unheard; a new one tells whether the server
  // is there. Nothing was written yet, so nothing is done twice.
  for (bool fresh = false;;) {
    fresh = !connection_.is_open();
    try {
      tables_ = &connection_.tables();
      asked_ = boot_time();
      start(connection_.session().begin());
      begun_ = true;
      committing_ = false;
      return {};
    } catch (...) {
      tables_ = nullptr;
      Failure failure = connection_.failure();
      redo_ = Redo::kNothing;
      if (!failure.lost) connection_.close();  // it may be in a transaction
      if (!failure.lost || fresh) return tl::unexpected(std::move(failure.error));
    }
  }
}

void Writer::commit() {
  if (!gathered_.empty() && !begun_ && are_one_statement()) {
    committing_ = true;
    start(Time{});
    write_gathered();
    return;
  }
  if (!gathered_.empty()) {
    open_or_throw();
    write_gathered();
  }
  if (!begun_) return;  // what was to be done is
  auto& t = *tables_;
  JsonRows rows;
  for (const auto& [key, change] : tally_) {
    if (change == 0) continue;
    rows.row()
        .add_text("queue", key.first)
        .add("state", static_cast<int>(key.second))
        .add("jobs", change);
  }
  tally_.clear();
  if (!rows.empty()) {
    t.rows = rows.take();
    t.add_tally.run();
    ++tallied_;
  }
  committing_ = true;
  if (with_commit_.empty()) {
    connection_.session().commit();
  } else {
    connection_.session().run_together(std::exchange(with_commit_, {}),
                                       [](std::size_t, std::span<const char* const>) {});
  }
}

void Writer::committed() noexcept {
  tables_->limits.committed();
  if (loan_) loan_.give(std::exchange(started_, {}), {});
  lends_ = true;
  if (!work_.empty()) waiters_.work(work_);
  if (!ended_.empty()) waiters_.ended(ended_);
  if (!work_.empty() || !ended_.empty()) news_.tell(work_, !ended_.empty());
  work_.clear();
  ended_.clear();
  tables_ = nullptr;
  answered_ = std::chrono::steady_clock::now();
}

Error Writer::current_error() noexcept {
  Failure failure = connection_.failure();
  // After a loss nothing is done again here: some of it may have been stored, and whoever
  // asked knows better what asking twice means.
  redo_ = failure.lost       ? Redo::kNothing
          : failure.conflict ? Redo::kTogether
          : !failure.held    ? Redo::kAlone
          : may_do_without() ? Redo::kTogether
                             : Redo::kOthers;
  if (failure.lost && committing_) {
    failure.error.message += " (it may or may not have been stored)";
  }
  lends_ = true;
  if (loan_ && !failure.conflict) {
    // Where it is known that nothing was stored, it is done again without the claim.
    if (!failure.lost && started_.empty()) {
      redo_ = Redo::kTogether;
      lends_ = false;
    }
    loan_.fail(failure.error);
  }
  return failure.error;
}

// It was a claim that waited, and the same again will not.
bool Writer::may_do_without() noexcept {
  return tables_ != nullptr && tables_->limits.waited_in_vain();
}

void Writer::lose_patience() {
  open_or_throw();
  connection_.session().lose_patience();
}

void Writer::rollback() noexcept {
  loan_ = {};
  started_.clear();
  work_.clear();
  ended_.clear();
  tally_.clear();
  doomed_.clear();
  gathered_.clear();
  with_commit_.clear();
  if (!connection_.is_open()) {
    tables_ = nullptr;
    return;
  }
  tables_->saver.forget();
  tables_->attempts.forget();
  tables_ = nullptr;
  if (!begun_) return;
  try {
    connection_.session().rollback();
  } catch (...) {
    const Failure failure = connection_.failure();
    options_.log(LogLevel::kWarn, failure.error.message);
    if (!failure.lost) connection_.close();
  }
}

void Writer::open_or_throw() {
  if (auto begun = open(); !begun) throw Away{std::move(begun.error())};
}

void Writer::enter_operation() {
  open_or_throw();
  if (!gathered_.empty()) {
    write_gathered();
    tables_->limits.locked_something();
  }
  tables_->limits.enter_operation();
}

void Writer::leave_operation() { tables_->limits.leave_operation(); }

void Writer::add_work(const std::string& queue, const std::string& kind) {
  for (Lane& lane : work_) {
    if (lane.queue == queue && lane.kind == kind) {
      ++lane.jobs;
      return;
    }
  }
  work_.push_back({queue, kind});
}

void Writer::moved(StoredRow& row, State before, const std::string* result) {
  auto& t = *tables_;
  if (before == State::kRunning) t.queues.ended(row.queue);
  const bool limited = t.limits.knows(row.id);
  if (limited) rules::hold(row.rule);  // until settle()
  const State after = row.rule.state;
  if (after == State::kScheduled || after == State::kRetryable) {
    row.run_at = row.rule.wake_at;
  }
  if (limited) t.limits.moved(row);
  if (is_final(before)) --tally_[{row.queue, before}];
  row.ended.reset();
  if (is_final(after)) {
    row.ended = now_;
    ended_.push_back(row.id);
    if (row.rule.wake_at <= now_ && !leaves_to_clear_) {
      doomed_.emplace_back(row.id, after);
      return;
    }
    ++tally_[{row.queue, after}];
  }
  if (after == State::kAvailable) add_work(row.queue, row.kind);
  t.saver.add(row, before, result);
}

std::vector<Ticket> Writer::flush() {
  auto& t = *tables_;
  t.saver.flush();
  t.attempts.flush(now_);
  if (!doomed_.empty()) {
    leave_keys(doomed_);
    std::vector<JobId> ids;
    ids.reserve(doomed_.size());
    for (const auto& [id, state] : doomed_) ids.push_back(id);
    t.ids = json_array(ids);
    t.purge.run();
    doomed_.clear();
  }
  return settle();
}

std::vector<Ticket> Writer::settle() {
  auto& t = *tables_;
  std::vector<Ticket> freed = t.limits.settle();
  for (const auto& [queue, ends] : t.queues.take_ended()) {
    for (Ticket& ticket : best_of_queue(queue, ends)) freed.push_back(std::move(ticket));
  }
  for (const Ticket& ticket : freed) add_work(ticket.queue, ticket.kind);
  return freed;
}

// Whether they may run is for the claim to say.
std::vector<Ticket> Writer::best_of_queue(std::string_view queue, std::size_t most) {
  auto& t = *tables_;
  std::vector<Lane> lanes = t.lanes.find(nullptr);
  std::erase_if(lanes, [&](const Lane& lane) { return lane.queue != queue; });
  std::vector<Ticket> tickets = t.lanes.best(lanes, {}, most, {}, now_).tickets;
  auto limited = t.limited_lanes.find(nullptr);
  std::erase_if(limited, [&](const LimitedLane& lane) { return lane.queue != queue; });
  for (const auto& c : t.limited_lanes.candidates(limited, most, now_)) {
    tickets.push_back({to_id(c.id), c.lane.queue, c.lane.kind, c.lane.priority});
  }
  return tickets;
}

}  // namespace carrel::sql::server
