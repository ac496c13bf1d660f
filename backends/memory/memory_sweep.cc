#include <algorithm>
#include <array>
#include <string>

#include "access.h"
#include "memory_store.h"
#include "row_view.h"

namespace carrel::memory {

Result<Swept> MemoryStore::sweep(std::size_t max) {
  // What holds jobs up comes first, and purges last.
  constexpr std::array kOrder = {State::kRunning,   State::kRetryable, State::kScheduled,
                                 State::kAvailable, State::kPending,   State::kCompleted,
                                 State::kCancelled, State::kDiscarded};
  Swept swept;
  Access access(*this);
  const Time now = access.now();
  for (const State state : kOrder) {
    RowOrder<ByWake>& timer = jobs_.timers(state);
    while (max > 0) {
      Row* row = timer.front();
      if (row == nullptr || row->rule.wake_at > now) break;
      sweep_row(*row, now, swept);
      --max;
    }
  }
  while (max > 0) {
    RateLine* line = jobs_.rates().due(now);
    if (line == nullptr) break;
    max -= std::max<std::size_t>(1, jobs_.window_opened(*line, now, max));
  }
  jobs_.uniques().forget(now, max);
  for (Ticket& ticket : jobs_.freed()) swept.due.push_back(std::move(ticket));
  jobs_.freed().clear();
  add_eased(now, swept.due);
  for (const Time next : {jobs_.uniques().next(), jobs_.rates().next()}) {
    if (next == kNever) continue;
    swept.next = std::min(swept.next, std::max(Duration::zero(), Duration(next - now)));
  }
  for (const State state : kOrder) {
    const Row* row = jobs_.timers(state).front();
    if (row == nullptr || row->rule.wake_at == kNever) continue;
    swept.next = std::min(swept.next,
                          std::max(Duration::zero(), Duration(row->rule.wake_at - now)));
  }
  return swept;
}

void MemoryStore::sweep_row(Row& row, Time now, Swept& swept) {
  bool due = false;
  jobs_.move(row, now, [&](Row& r) {
    const Attempt attempt =
        r.rule.state == State::kRunning ? rules::lost_attempt(r.rule) : Attempt{};
    switch (rules::sweep(r.rule, jobs_.keep(), now)) {
      case rules::SweepAct::kDue:
        due = true;
        break;
      case rules::SweepAct::kRescued:
        ++swept.rescued;
        append_attempt(r, attempt, now);
        due = true;
        break;
      case rules::SweepAct::kExhausted:
        ++swept.discarded;
        ++swept.rescued;
        append_attempt(r, attempt, now);
        break;
      case rules::SweepAct::kCancelled:
        ++swept.rescued;
        append_attempt(r, attempt, now);
        break;
      case rules::SweepAct::kExpired:
        ++swept.discarded;
        break;
      case rules::SweepAct::kPurge:  // move() deletes it
        ++swept.purged;
        break;
      case rules::SweepAct::kNothing:
        return false;
    }
    return true;
  });
  // One that is due is there still. Its keys may hold it back, until it is freed.
  if (due && row.rule.state == State::kAvailable) swept.due.push_back(ticket_of(row));
}

}  // namespace carrel::memory
