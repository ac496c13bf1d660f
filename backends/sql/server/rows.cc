#include "server/rows.h"

#include <carrel/kept.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace carrel::sql::server {

using soci::into;
using soci::use;

namespace {

std::vector<JobId> ids_of(std::span<const Lease> runs) {
  std::vector<JobId> ids;
  ids.reserve(runs.size());
  for (const Lease& run : runs) ids.push_back(run.id);
  return ids;
}

}  // namespace

RowLocker::RowLocker(Session& session, const Statements& statements)
    : lock_jobs_(of_rows(session, statements.lock_jobs, ids_, "ids")),
      try_jobs_(of_rows(session, statements.try_jobs, ids_, "ids")),
      lock_runs_(of_rows(session, statements.lock_runs, rows_, "rows")),
      try_runs_(of_rows(session, statements.try_runs, rows_, "rows")),
      lock_history_(of_rows(session, statements.lock_history, ids_, "ids")),
      try_history_(of_rows(session, statements.try_history, ids_, "ids")),
      session_(session),
      lock_runs_now_(of_rows(session, statements.lock_runs_now, rows_, "rows")),
      lock_history_now_(of_rows(session, statements.lock_history_now, ids_, "ids")) {}

Statement RowLocker::of_rows(Session& session, const char* text, std::string& parameter,
                             const char* name) {
  return {session,
          text,
          use(parameter, name),
          into(id_),
          into(state_),
          into(queue_),
          into(kind_),
          into(priority_),
          into(cancel_requested_),
          into(attempt_),
          into(max_attempts_),
          into(crashes_),
          into(fence_),
          into(finished_fence_),
          into(wake_at_.value, wake_at_.indicator),
          into(expires_at_.value, expires_at_.indicator),
          into(run_at_),
          into(started_at_.value, started_at_.indicator),
          into(ended_at_.value, ended_at_.indicator),
          into(claim_number_),
          into(worker_)};
}

std::unordered_map<JobId, StoredRow> RowLocker::lock(std::span<const JobId> ids) {
  // What ends while this looks goes from jobs to history, and is found there; what is
  // retried while this looks goes the other way, and is found by looking once more.
  return lock_in({&lock_jobs_, &lock_history_, &lock_jobs_}, ids);
}

void RowLocker::name_runs(std::span<const Lease> runs) {
  std::vector<std::pair<long long, long long>> named;
  for (const Lease& run : runs) {
    named.emplace_back(to_column(run.id), to_column(run.fence));
  }
  std::sort(named.begin(), named.end());  // all lock in the order of ids
  // MariaDB lets go of a row that does not match when it seeks the next one: the last is
  // of no job.
  named.emplace_back(0, 0);
  JsonRows rows;
  for (const auto& [id, fence] : named) rows.row().add("id", id).add("fence", fence);
  rows_ = rows.take();
}

std::unordered_map<JobId, StoredRow> RowLocker::lock_runs(std::span<const Lease> runs) {
  name_runs(runs);
  if (session_.is_patient()) {
    return lock_in({&lock_runs_, &lock_history_, &lock_runs_}, ids_of(runs));
  }
  return lock_in({&lock_runs_now_, &lock_history_now_, &lock_runs_now_}, ids_of(runs));
}

std::unordered_map<JobId, StoredRow> RowLocker::try_lock_runs(
    std::span<const Lease> runs) {
  name_runs(runs);
  return lock_in({&try_runs_}, ids_of(runs));
}

std::unordered_map<JobId, StoredRow> RowLocker::try_lock(std::span<const JobId> ids) {
  return lock_in({&try_jobs_}, ids);
}

std::unordered_map<JobId, StoredRow> RowLocker::lock_ended(std::span<const JobId> ids) {
  return lock_in({&lock_history_, &lock_jobs_, &lock_history_}, ids);
}

std::unordered_map<JobId, StoredRow> RowLocker::try_lock_ended(
    std::span<const JobId> ids) {
  return lock_in({&try_history_}, ids);
}

std::unordered_map<JobId, StoredRow> RowLocker::lock_in(
    std::initializer_list<Statement*> tables, std::span<const JobId> ids) {
  std::unordered_map<JobId, StoredRow> rows;
  const auto add = [&] { rows.emplace(to_id(id_), current()); };
  std::vector<JobId> missing(ids.begin(), ids.end());
  std::sort(missing.begin(), missing.end());
  for (Statement* table : tables) {
    std::erase_if(missing, [&](JobId id) { return rows.contains(id); });
    if (missing.empty()) break;
    ids_ = json_array(missing);
    table->rows(add);
  }
  return rows;
}

StoredRow RowLocker::current() const {
  StoredRow row;
  row.id = to_id(id_);
  row.rule.state = to_state(state_);
  row.rule.cancel_requested = cancel_requested_ != 0;
  row.rule.attempt = static_cast<std::uint16_t>(attempt_);
  row.rule.max_attempts = static_cast<std::uint16_t>(max_attempts_);
  row.rule.crashes = static_cast<std::uint16_t>(crashes_);
  row.rule.fence = to_fence(fence_);
  row.rule.finished_fence = to_fence(finished_fence_);
  row.rule.wake_at = to_time(wake_at_.get());
  row.rule.expires_at = to_time(expires_at_.get());
  row.rule.claim_number = static_cast<std::uint64_t>(claim_number_);
  row.rule.worker = rules::WorkerId(worker_);
  row.queue = queue_;
  row.kind = kind_;
  row.priority = static_cast<std::int16_t>(priority_);
  row.run_at = to_time(run_at_);
  row.started = to_optional_time(started_at_.get());
  row.ended = to_optional_time(ended_at_.get());
  return row;
}

Sequence::Sequence(Session& session, const Steps& steps, std::string& parameter,
                   const char* name) {
  for (const char* text : {steps.first, steps.second, steps.third, steps.fourth,
                           steps.fifth, steps.sixth, steps.seventh, steps.eighth}) {
    if (text != nullptr) statements_.emplace_back(session, text, use(parameter, name));
  }
}

void Sequence::run() {
  for (Statement& statement : statements_) statement.run();
}

RowSaver::RowSaver(Session& session, const Statements& statements)
    : save_rows_(statements.wide),
      to_history_rows_(statements.wide),
      to_jobs_rows_(statements.wide),
      save_(session, statements.save_jobs, use(rows_, "rows")),
      to_history_(session, statements.to_history, rows_, "rows"),
      to_jobs_(session, statements.to_jobs, rows_, "rows"),
      keep_(session, statements.keep_history, use(rows_, "rows")) {}

void RowSaver::add(const StoredRow& row, State before, const std::string* result) {
  const bool was_final = is_final(before);
  const bool is_final_now = is_final(row.rule.state);
  if (was_final && is_final_now) {
    keep_rows_.row().add("id", to_column(row.id)).add("wake_at", wake_column(row.rule));
    return;
  }
  JsonRows& rows = is_final_now ? to_history_rows_
                   : was_final  ? to_jobs_rows_
                                : save_rows_;
  rows.row()
      .add("id", to_column(row.id))
      .add("state", static_cast<int>(row.rule.state))
      .add("cancel_requested", row.rule.cancel_requested ? 1 : 0)
      .add("attempt", row.rule.attempt)
      .add("max_attempts", row.rule.max_attempts)
      .add("crashes", row.rule.crashes)
      .add("finished_fence", to_column(row.rule.finished_fence))
      .add("wake_at", wake_column(row.rule))
      .add("expires_at", to_column(row.rule.expires_at))
      .add("run_at", row.run_at.time_since_epoch().count());
  if (!is_final_now) return;
  rows.add("ended_at", to_column(row.ended.value())).add_bytes("result", result);
  if (rows.full()) flush();
}

void RowSaver::flush() {
  if (!save_rows_.empty()) {
    rows_ = save_rows_.take();
    save_.run();
  }
  if (!to_history_rows_.empty()) {
    rows_ = to_history_rows_.take();
    to_history_.run();
  }
  if (!to_jobs_rows_.empty()) {
    rows_ = to_jobs_rows_.take();
    to_jobs_.run();
  }
  if (!keep_rows_.empty()) {
    rows_ = keep_rows_.take();
    keep_.run();
  }
}

void RowSaver::forget() {
  save_rows_.take();
  to_history_rows_.take();
  to_jobs_rows_.take();
  keep_rows_.take();
}

AttemptSaver::AttemptSaver(Session& session, const Statements& statements)
    : adding_(statements.wide),
      keep_(rules::kKeptAttempts),
      add_(session, statements.add_attempts, use(rows_, "rows"), use(now_, "now")),
      trim_(session, statements.trim_attempts, use(job_, "job"), use(keep_, "keep")) {}

void AttemptSaver::add(const StoredRow& row, Fence fence, const Attempt& attempt,
                       Time now) {
  adding_.row()
      .add("job", to_column(row.id))
      .add("fence", to_column(fence))
      .add("attempt", attempt.attempt)
      .add("class", static_cast<int>(attempt.klass))
      .add_bytes("message", attempt.message)
      .add("code", static_cast<int>(attempt.code))
      .add("native", attempt.native)
      .add("exit_code", attempt.exit_code)
      .add("signal", attempt.signal)
      .add("wall_us", attempt.usage.wall.count())
      .add("cpu_us", attempt.usage.cpu.count())
      .add("max_rss", static_cast<long long>(attempt.usage.max_rss_bytes))
      .add_bytes("stderr_tail", attempt.stderr_tail)
      .add_bytes("ending", ending_column(attempt))
      .add_text("worker", row.rule.worker.text());
  if (row.started) adding_.add("started_at", row.started->time_since_epoch().count());
  // There cannot be more attempts than fences.
  if (value(fence) > static_cast<std::uint64_t>(keep_)) long_histories_.push_back(row.id);
  if (adding_.full()) flush(now);
}

void AttemptSaver::flush(Time now) {
  if (adding_.empty()) return;
  rows_ = adding_.take();
  now_ = now.time_since_epoch().count();
  add_.run();
  for (const JobId id : long_histories_) {
    job_ = to_column(id);
    trim_.run();
  }
  long_histories_.clear();
}

void AttemptSaver::forget() {
  adding_.take();
  long_histories_.clear();
}

NotesTable::NotesTable(Session& session, const Statements& statements)
    : read_(session, statements.read_notes, use(ids_, "ids"), into(job_),
            into(fraction_, has_fraction_), into(message_), into(checkpoint_),
            into(log_)),
      save_(session, statements.save_notes, use(rows_, "rows")) {}

std::unordered_map<JobId, Notes> NotesTable::read(std::span<const JobId> ids) {
  std::unordered_map<JobId, Notes> all;
  if (ids.empty()) return all;
  ids_ = json_array(ids);
  read_.rows([&] {
    Notes& notes = all[to_id(job_)];
    if (has_fraction_ == soci::i_ok) {
      notes.progress = Progress{static_cast<float>(fraction_), from_hex(message_)};
    }
    notes.checkpoint = from_hex(checkpoint_);
    notes.log = from_hex(log_);
  });
  return all;
}

void NotesTable::add(std::span<const News> news) {
  std::vector<JobId> ids;
  for (const News& n : news) {
    if (is_news(n.progress, n.checkpoint, n.log)) ids.push_back(n.job);
  }
  if (ids.empty()) return;
  auto all = read(ids);
  for (const News& n : news) {
    if (is_news(n.progress, n.checkpoint, n.log)) {
      add_news(all[n.job], n.progress, n.checkpoint, n.log);
    }
  }
  JsonRows rows;
  const auto save = [&] {
    if (rows.empty()) return;
    rows_ = rows.take();
    save_.run();
  };
  for (const auto& [job, notes] : all) {
    rows.row().add("job", to_column(job));
    if (notes.progress) rows.add_real("fraction", notes.progress->fraction);
    rows.add_bytes("message", notes.progress ? notes.progress->message : std::string())
        .add_bytes("checkpoint", notes.checkpoint)
        .add_bytes("log", notes.log);
    if (rows.full()) save();
  }
  save();
}

}  // namespace carrel::sql::server
