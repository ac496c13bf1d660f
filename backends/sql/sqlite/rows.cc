#include "rows.h"

#include <carrel/kept.h>

#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

RowLoader::RowLoader(soci::session& session)
    : statement_(session, statements::kLoadRows, use(ids_, "ids"), into(id_),
                 into(state_), into(queue_), into(kind_), into(priority_),
                 into(cancel_requested_), into(attempt_), into(max_attempts_),
                 into(crashes_), into(fence_), into(finished_fence_),
                 into(wake_at_.value, wake_at_.indicator),
                 into(expires_at_.value, expires_at_.indicator), into(run_at_),
                 into(started_at_.value, started_at_.indicator),
                 into(ended_at_.value, ended_at_.indicator), into(claim_number_),
                 into(worker_)) {}

std::unordered_map<JobId, StoredRow> RowLoader::load(std::span<const JobId> ids) {
  std::unordered_map<JobId, StoredRow> rows;
  if (ids.empty()) return rows;
  rows.reserve(ids.size());
  ids_ = json_array(ids);
  statement_.rows(
      [&] { rows.emplace(JobId{static_cast<std::uint64_t>(id_)}, current()); });
  return rows;
}

StoredRow RowLoader::current() const {
  StoredRow row;
  row.id = JobId{static_cast<std::uint64_t>(id_)};
  row.rule.state = static_cast<State>(state_);
  row.rule.cancel_requested = cancel_requested_ != 0;
  row.rule.attempt = static_cast<std::uint16_t>(attempt_);
  row.rule.max_attempts = static_cast<std::uint16_t>(max_attempts_);
  row.rule.crashes = static_cast<std::uint16_t>(crashes_);
  row.rule.fence = Fence{static_cast<std::uint64_t>(fence_)};
  row.rule.finished_fence = Fence{static_cast<std::uint64_t>(finished_fence_)};
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

RowSaver::RowSaver(soci::session& session)
    : save_(session, statements::kSaveRow, use(state_, "state"),
            use(cancel_requested_, "cancel_requested"), use(attempt_, "attempt"),
            use(max_attempts_, "max_attempts"), use(crashes_, "crashes"),
            use(finished_fence_, "finished_fence"),
            use(wake_at_.value, wake_at_.indicator, "wake_at"),
            use(expires_at_.value, expires_at_.indicator, "expires_at"),
            use(run_at_, "run_at"), use(ended_at_.value, ended_at_.indicator, "ended_at"),
            use(id_, "id")),
      save_finished_(session, statements::kSaveFinished, use(state_, "state"),
                     use(cancel_requested_, "cancel_requested"), use(attempt_, "attempt"),
                     use(max_attempts_, "max_attempts"), use(crashes_, "crashes"),
                     use(finished_fence_, "finished_fence"),
                     use(wake_at_.value, wake_at_.indicator, "wake_at"),
                     use(expires_at_.value, expires_at_.indicator, "expires_at"),
                     use(run_at_, "run_at"),
                     use(ended_at_.value, ended_at_.indicator, "ended_at"),
                     use(result_, "result"), use(id_, "id")) {}

void RowSaver::bind(const StoredRow& row) {
  id_ = to_column(row.id);
  state_ = static_cast<int>(row.rule.state);
  cancel_requested_ = row.rule.cancel_requested ? 1 : 0;
  attempt_ = row.rule.attempt;
  max_attempts_ = row.rule.max_attempts;
  crashes_ = row.rule.crashes;
  finished_fence_ = static_cast<long long>(value(row.rule.finished_fence));
  wake_at_.set(wake_column(row.rule));
  expires_at_.set(to_column(row.rule.expires_at));
  run_at_ = row.run_at.time_since_epoch().count();
  ended_at_.set(row.ended ? to_column(*row.ended) : std::nullopt);
}

void RowSaver::save(const StoredRow& row) {
  bind(row);
  save_.run();
}

void RowSaver::save_finished(const StoredRow& row, const std::string& result) {
  bind(row);
  result_ = result;
  save_finished_.run();
}

AttemptSaver::AttemptSaver(soci::session& session)
    : keep_(rules::kKeptAttempts),
      add_(session, statements::kAddAttempt, use(job_, "job"), use(fence_, "fence"),
           use(attempt_, "attempt"), use(class_, "class"), use(message_, "message"),
           use(code_, "code"), use(native_, "native"), use(exit_code_, "exit_code"),
           use(signal_, "signal"), use(wall_us_, "wall_us"), use(cpu_us_, "cpu_us"),
           use(max_rss_, "max_rss"), use(stderr_tail_, "stderr_tail"),
           use(ending_, "ending"), use(worker_, "worker"),
           use(started_at_.value, started_at_.indicator, "started_at"),
           use(ended_at_, "ended_at")),
      add_success_(session, statements::kAddSuccess, use(job_, "job"),
                   use(fence_, "fence"), use(attempt_, "attempt"), use(class_, "class"),
                   use(wall_us_, "wall_us"), use(worker_, "worker"),
                   use(started_at_.value, started_at_.indicator, "started_at"),
                   use(ended_at_, "ended_at")),
      trim_(session, statements::kTrimAttempts, use(job_, "job"), use(keep_, "keep")) {}

void AttemptSaver::add(const Run& run, const Attempt& attempt, Time now) {
  job_ = to_column(run.lease.id);
  fence_ = static_cast<long long>(value(run.lease.fence));
  attempt_ = attempt.attempt;
  class_ = static_cast<int>(attempt.klass);
  wall_us_ = attempt.usage.wall.count();
  worker_ = run.worker;
  started_at_.set(run.started ? to_column(*run.started) : std::nullopt);
  ended_at_ = now.time_since_epoch().count();
  if (is_plain(attempt)) {
    add_success_.run();
  } else {
    message_ = attempt.message;
    code_ = static_cast<int>(attempt.code);
    native_ = attempt.native;
    exit_code_ = attempt.exit_code;
    signal_ = attempt.signal;
    cpu_us_ = attempt.usage.cpu.count();
    max_rss_ = static_cast<long long>(attempt.usage.max_rss_bytes);
    stderr_tail_ = attempt.stderr_tail;
    ending_ = ending_column(attempt);
    add_.run();
  }
  // There cannot be more attempts than fences.
  if (fence_ > keep_) trim_.run();
}

NotesTable::NotesTable(soci::session& session)
    : read_(session, statements::kReadNotes, into(fraction_, has_fraction_),
            into(message_), into(checkpoint_), into(log_), use(job_, "job")),
      save_(session, statements::kSaveNotes, use(job_, "job"),
            use(fraction_, has_fraction_, "fraction"), use(message_, "message"),
            use(checkpoint_, "checkpoint"), use(log_, "log")) {}

std::optional<Notes> NotesTable::read(JobId job) {
  job_ = to_column(job);
  if (!read_.run()) return std::nullopt;
  Notes notes;
  if (has_fraction_ == soci::i_ok) {
    notes.progress = Progress{static_cast<float>(fraction_), message_};
  }
  notes.checkpoint = checkpoint_;
  notes.log = log_;
  return notes;
}

void NotesTable::add(JobId job, const std::optional<Progress>& progress,
                     const std::optional<std::string>& checkpoint, std::string_view log) {
  if (!is_news(progress, checkpoint, log)) return;
  Notes notes = read(job).value_or(Notes{});
  add_news(notes, progress, checkpoint, log);
  has_fraction_ = notes.progress ? soci::i_ok : soci::i_null;
  fraction_ = notes.progress ? notes.progress->fraction : 0;
  message_ = notes.progress ? std::move(notes.progress->message) : std::string();
  checkpoint_ = std::move(notes.checkpoint);
  log_ = std::move(notes.log);
  save_.run();
}

}  // namespace carrel::sql::sqlite
