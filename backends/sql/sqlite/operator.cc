// What people do to jobs and queues, and what time does: cancel, retry, pause, sweep.
#include <algorithm>
#include <array>

#include "error.h"
#include "writer_statements.h"

namespace carrel::sql::sqlite {

std::vector<Cancelled> Writer::cancel(std::span<const JobId> ids) {
  const Time at = now();
  auto rows = loader_.load(ids);
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
    answers.push_back(rules::cancel(row.rule, options_.retention, at));
    if (answers.back() == Cancelled::kCancelled) {
      moved(row, before, at);
    } else if (answers.back() == Cancelled::kRequested) {
      saver_.save(row);
    }
  }
  remove_doomed();
  freed(at);
  return answers;
}

std::vector<Result<Ticket>> Writer::retry(std::span<const JobId> ids) {
  auto& s = *statements_;
  const Time at = now();
  auto rows = loader_.load(ids);
  std::vector<Result<Ticket>> answers;
  answers.reserve(ids.size());
  for (const JobId id : ids) {
    const auto found = rows.find(id);
    const std::string name = "job " + std::to_string(value(id));
    if (found == rows.end()) {
      answers.emplace_back(fail(Code::kNotFound, "there is no " + name, kOrigin));
      continue;
    }
    StoredRow& row = found->second;
    const State before = row.rule.state;
    if (!rules::retry(row.rule, at)) {
      answers.emplace_back(
          fail(Code::kInvalid,
               name + " is " + std::string(to_string(before)) + " already", kOrigin));
      continue;
    }
    row.run_at = at;
    if (before == State::kCompleted) {
      s.id = to_column(id);
      s.forget_result.run();
    }
    moved(row, before, at);
    answers.emplace_back(row.ticket());
  }
  freed(at);
  return answers;
}

std::vector<Ticket> Writer::set_paused(std::string_view queue, bool paused) {
  auto& s = *statements_;
  s.queue = queue;
  if (paused) {
    s.pause.run();
    return {};
  }
  s.resume.run();
  constexpr std::size_t kSome = 1024;
  std::vector<Ticket> tickets = best_of_queue(std::string(queue), kSome);
  for (const Ticket& ticket : tickets) add_work(ticket.queue, ticket.kind);
  return tickets;
}

bool Writer::advance(StoredRow& row, Time at, Swept& swept) {
  const State before = row.rule.state;
  if (before == State::kRunning && row.rule.wake_at <= at) {
    attempts_.add({{row.id, row.rule.fence}, row.rule.worker.text(), row.started},
                  rules::lost_attempt(row.rule), at);
  }
  switch (rules::sweep(row.rule, options_.retention, at)) {
    case rules::SweepAct::kNothing:
    case rules::SweepAct::kPurge:
      return false;
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
  moved(row, before, at);
  if (!swept.due.empty() && swept.due.back().id == row.id &&
      row.rule.state == State::kPending) {
    swept.due.pop_back();  // until it is freed
  }
  return true;
}

Swept Writer::sweep(std::size_t max) {
  auto& s = *statements_;
  const Time at = now();
  Swept swept;
  std::size_t left = max;
  s.now = at.time_since_epoch().count();
  const auto due = [&](State state) {
    std::vector<JobId> ids;
    s.state = static_cast<int>(state);
    s.most = static_cast<long long>(std::min<std::size_t>(left, 1U << 20));
    s.due.rows([&] { ids.push_back(JobId{static_cast<std::uint64_t>(s.id)}); });
    return ids;
  };
  for (const State state : {State::kRunning, State::kRetryable, State::kScheduled,
                            State::kAvailable, State::kPending}) {
    if (left == 0) break;
    const auto ids = due(state);
    auto rows = loader_.load(ids);
    for (const JobId id : ids) {
      const auto found = rows.find(id);
      if (found != rows.end() && advance(found->second, at, swept)) --left;
    }
  }
  remove_doomed();
  limits_.windows_opened(at, max);
  for (Ticket& ticket : freed(at)) swept.due.push_back(std::move(ticket));
  for (const State state : {State::kCompleted, State::kCancelled, State::kDiscarded}) {
    if (left == 0) break;
    const std::size_t purged = purge(due(state));
    swept.purged += purged;
    left -= purged;
  }
  uniques_.forget(at, left);
  const std::size_t trimmed = trim(left);
  swept.purged += trimmed;
  for (std::size_t n = 0; n < kStateCount; ++n) {
    s.state = static_cast<int>(n);
    if (!s.next_wake.run() || to_time(s.number) == kNever) continue;
    const Duration wait = std::max(Duration(s.number - s.now), Duration::zero());
    swept.next = std::min(swept.next, wait);
  }
  for (const Time next : {uniques_.next(), limits_.next_window()}) {
    if (next == kNever) continue;
    swept.next = std::min(swept.next, std::max(next - at, Duration::zero()));
  }
  if (too_many_) swept.next = Duration::zero();
  return swept;
}

}  // namespace carrel::sql::sqlite
