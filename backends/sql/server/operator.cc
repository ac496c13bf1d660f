// What people do to jobs and queues, and what time does: cancel, retry, pause, sweep.
#include <algorithm>

#include "server/writer_tables.h"

namespace carrel::sql::server {

std::vector<Cancelled> Writer::cancel(std::span<const JobId> ids) {
  tables_->limits.know(ids);
  auto rows = tables_->rows_of.lock(ids);
  tables_->limits.know_locked(ids);
  std::vector<Cancelled> answers;
  answers.reserve(ids.size());
  for (const JobId id : ids) {
    const auto found = rows.find(id);
    if (found == rows.end()) {
      answers.push_back(Cancelled::kNotFound);
      continue;
    }
    StoredRow& row = found->second;
    const State before = row.rule.state;
    const bool asked_before = row.rule.cancel_requested;
    answers.push_back(rules::cancel(row.rule, options_.retention, now_));
    if (answers.back() == Cancelled::kCancelled) {
      moved(row, before);
    } else if (answers.back() == Cancelled::kRequested && !asked_before) {
      tables_->saver.add(row, before, nullptr);
    }
  }
  flush();
  return answers;
}

std::vector<Result<Ticket>> Writer::retry(std::span<const JobId> ids) {
  tables_->limits.know(ids);
  auto rows = tables_->rows_of.lock(ids);
  tables_->limits.know_locked(ids);
  std::vector<Result<Ticket>> answers;
  answers.reserve(ids.size());
  for (const JobId id : ids) {
    const auto found = rows.find(id);
    const std::string name = "job " + std::to_string(value(id));
    if (found == rows.end()) {
      answers.emplace_back(
          fail(Code::kNotFound, "there is no " + name, driver_.origin()));
      continue;
    }
    StoredRow& row = found->second;
    const State before = row.rule.state;
    if (!rules::retry(row.rule, now_)) {
      answers.emplace_back(fail(
          Code::kInvalid, name + " is " + std::string(to_string(before)) + " already",
          driver_.origin()));
      continue;
    }
    row.run_at = now_;
    moved(row, before);
    answers.emplace_back(row.ticket());
  }
  flush();
  return answers;
}

std::vector<Ticket> Writer::set_paused(std::string_view queue, bool paused) {
  auto& t = *tables_;
  t.queue = queue;
  if (paused) {
    t.pause.run();
    return {};
  }
  t.resume.run();
  constexpr std::size_t kSome = 1024;
  std::vector<Ticket> tickets = best_of_queue(queue, kSome);
  for (const Ticket& ticket : tickets) add_work(ticket.queue, ticket.kind);
  return tickets;
}

void Writer::advance(StoredRow& row, Swept& swept) {
  const State before = row.rule.state;
  if (before == State::kRunning && row.rule.wake_at <= now_) {
    tables_->attempts.add(row, row.rule.fence, rules::lost_attempt(row.rule), now_);
  }
  switch (rules::sweep(row.rule, options_.retention, now_)) {
    case rules::SweepAct::kNothing:
    case rules::SweepAct::kPurge:
      return;
    case rules::SweepAct::kDue:
      swept.due.push_back(row.ticket());
      break;
    case rules::SweepAct::kRescued:
      swept.due.push_back(row.ticket());
      ++swept.rescued;
      break;
    case rules::SweepAct::kExhausted:
      ++swept.rescued;
      ++swept.discarded;
      break;
    case rules::SweepAct::kCancelled:
      ++swept.rescued;
      break;
    case rules::SweepAct::kExpired:
      ++swept.discarded;
      break;
  }
  moved(row, before);
  if (row.rule.state == State::kPending) swept.due.pop_back();  // until it is freed
}

// Somebody may hold jobs, or the key of many, for as long as he likes: those behind them
// are looked for, too. Not without end, as each may be locked on the way.
void Writer::look_for_due(Statement& find, std::size_t first,
                          const std::function<bool(const std::vector<JobId>&)>& enough) {
  constexpr int kPages = 8;
  auto& t = *tables_;
  t.most = static_cast<long long>(first);
  t.passed = 0;
  for (int page = 0; page < kPages; ++page) {
    std::vector<JobId> due;
    find.rows([&] { due.push_back(to_id(t.id)); });
    if (enough(due) || due.size() < static_cast<std::size_t>(t.most)) return;
    t.passed += t.most;
    t.most = kRowsAStatement;
  }
}

std::vector<StoredRow> Writer::due_and_free(std::size_t most) {
  auto& t = *tables_;
  std::vector<StoredRow> free;
  if (most == 0) return free;
  look_for_due(t.due_jobs, kRowsAStatement, [&](const std::vector<JobId>& due) {
    auto rows = t.rows_of.try_lock(t.limits.know_free(due));
    std::vector<JobId> locked;
    for (const JobId id : due) {
      if (rows.contains(id)) locked.push_back(id);
    }
    for (const JobId id : t.limits.know_free_locked(locked)) {
      free.push_back(std::move(rows.at(id)));
    }
    return free.size() >= most;
  });
  if (free.size() > most) free.resize(most);
  return free;
}

Swept Writer::sweep(std::size_t max) {
  auto& t = *tables_;
  Swept swept;
  t.limits.locked_something();
  t.limits.windows_opened();
  std::vector<StoredRow> rows = due_and_free(std::min(max, kRowsAStatement));
  // After a look in vain behind a good deal of what others hold.
  constexpr std::chrono::milliseconds kRest{200};
  swept.next = rows.empty() && t.passed > 0 ? Duration(kRest) : Duration::zero();
  leaves_to_clear_ = true;
  for (StoredRow& row : rows) advance(row, swept);
  for (Ticket& ticket : flush()) swept.due.push_back(std::move(ticket));
  leaves_to_clear_ = false;
  return swept;
}

}  // namespace carrel::sql::server
