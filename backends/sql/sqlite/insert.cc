#include "writer_statements.h"

namespace carrel::sql::sqlite {

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
    rules::Row row = rules::admit(at, job->delay, job->start_within, job->max_attempts);
    const bool due = row.state == State::kAvailable;
    if (job->limit) limits_.place(*job, row);
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
    s.id = sqlite_api::sqlite3_last_insert_rowid(session_->native());
    if (beside) s.insert_payload.run();
    answer.id = JobId{static_cast<std::uint64_t>(s.id)};
    if (job->limit) limits_.add(answer.id, *job, row, s.run_at);
    if (!available) continue;
    answer.ticket = {answer.id, job->queue, job->kind, job->priority};
    add_work(job->queue, job->kind);
  }
  return answers;
}

}  // namespace carrel::sql::sqlite
