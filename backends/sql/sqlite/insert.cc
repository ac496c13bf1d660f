#include "writer_statements.h"

namespace carrel::sql::sqlite {

std::optional<Inserted> Writer::meet(const NewJob& job, Time at) {
  if (!job.unique) return std::nullopt;
  const auto holder = uniques_.meet(*job.unique, at);
  if (!holder) return std::nullopt;
  Inserted met{holder->job, true, false, {}};
  if (holder->gone || is_final(holder->state)) return met;
  auto rows = loader_.load({&holder->job, 1});
  const auto found = rows.find(holder->job);
  if (found == rows.end()) return met;
  StoredRow& row = found->second;
  if (job.unique->on_conflict != OnConflict::kSkip) met.replaced = replace(row, job, at);
  if (row.rule.state == State::kAvailable) met.ticket = row.ticket();
  return met;
}

bool Writer::replace(StoredRow& row, const NewJob& job, Time at) {
  auto& s = *statements_;
  const State before = row.rule.state;
  const OnConflict how = job.unique->on_conflict;
  if (!rules::replace(row.rule, how, at, job.delay, job.start_within)) return false;
  if (how == OnConflict::kReplace) row.run_at = at;  // moved() knows of another
  s.id = to_column(row.id);
  s.bytes = job.payload;
  const bool beside = job.payload.size() > kInlinePayload;
  s.has_bytes = beside ? soci::i_null : soci::i_ok;
  s.replace_payload.run();
  s.delete_payload.run();
  if (beside) s.insert_payload.run();
  s.forget_checkpoint.run();
  if (limits_.any() || job.limit || job.rate) limits_.change(row, job, at);
  moved(row, before, at);
  freed(at);
  return true;
}

std::vector<Inserted> Writer::insert(std::span<const NewJob* const> jobs) {
  auto& s = *statements_;
  const Time at = now();
  std::vector<Inserted> answers;
  answers.reserve(jobs.size());
  for (const NewJob* job : jobs) {
    Inserted& answer = answers.emplace_back();
    s.request_id = job->request_id;
    s.has_request_id = job->request_id.empty() ? soci::i_null : soci::i_ok;
    if (!job->request_id.empty() && s.find_request.run()) {
      answer.id = JobId{static_cast<std::uint64_t>(s.id)};
      answer.existed = true;
      if (static_cast<State>(s.state) == State::kAvailable) {
        answer.ticket = {answer.id, s.queue, s.kind,
                         static_cast<std::int16_t>(s.priority)};
      }
      continue;
    }
    if (auto met = meet(*job, at)) {
      answer = std::move(*met);
      continue;
    }
    rules::Row row = rules::admit(at, job->delay, job->start_within, job->max_attempts);
    const bool due = row.state == State::kAvailable;
    Limits::Turn turn{};
    if (job->limit || job->rate) turn = limits_.place(*job, row, at);
    const bool available = row.state == State::kAvailable;
    s.state = static_cast<int>(row.state);
    s.queue = job->queue;
    s.kind = job->kind;
    s.priority = job->priority;
    s.max_attempts = row.max_attempts;
    s.wake_at.set(wake_column(row));
    s.expires_at.set(to_column(row.expires_at));
    s.now = at.time_since_epoch().count();
    s.run_at = due ? s.now : row.wake_at.time_since_epoch().count();
    s.timeout = job->timeout.count();
    s.bytes = job->payload;
    const bool beside = job->payload.size() > kInlinePayload;
    s.has_bytes = beside ? soci::i_null : soci::i_ok;
    s.insert_job.run();
    s.id = place_.last_row();
    if (beside) s.insert_payload.run();
    answer.id = JobId{static_cast<std::uint64_t>(s.id)};
    if (job->limit || job->rate) {
      limits_.add(answer.id, *job, row, turn, s.run_at, at);
    }
    if (job->unique) uniques_.hold(*job->unique, answer.id, at);
    if (!available) continue;
    answer.ticket = {answer.id, job->queue, job->kind, job->priority};
    add_work(job->queue, job->kind);
  }
  freed(at);  // none, but those that wait are to be woken
  return answers;
}

}  // namespace carrel::sql::sqlite
