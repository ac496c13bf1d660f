#include "jobs.h"

#include <utility>

#include "row_view.h"

namespace carrel::memory {

Jobs::Jobs(const Retention& keep,
           const std::map<std::string, std::uint32_t>& queue_limits)
    : keep_(keep), buckets_(queue_limits) {
  if (keep_.max_rows == 0) keep_.max_rows = kDefaultMaxRows;
}

Row* Jobs::find_request(const std::string& request_id) const {
  const auto found = requests_.find(request_id);
  return found == requests_.end() ? nullptr : found->second;
}

Row& Jobs::insert(const NewJob& job, Time now) {
  Bucket& bucket = buckets_.get(job.queue, job.kind, job.priority);
  ++bucket.live;
  Row& row = table_.add();
  row.bucket = &bucket;
  row.rule = rules::admit(now, job.delay, job.start_within, job.max_attempts);
  row.enqueued = now;
  row.run_at = row.rule.state == State::kScheduled ? row.rule.wake_at : now;
  row.timeout = job.timeout;
  row.payload = job.payload;
  if (job.limit) {
    row.limit = job.limit->running;
    lines_.join(row, job.limit->key);
  }
  if (job.rate) rates_.join(row, *job.rate);
  place(row, now);
  if (!job.request_id.empty()) {
    row.more().request_id = job.request_id;
    requests_.emplace(row.details->request_id, &row);
  }
  if (job.unique) uniques_.hold(row, *job.unique);
  index(row, now);
  if (job.rate) rates_.schedule(*row.rate_line(), now);
  return row;
}

bool Jobs::replace(Row& row, const NewJob& job, Time now) {
  const OnConflict how = job.unique->on_conflict;
  bool replaced = false;
  KeyLine* left = nullptr;
  RateLine* left_rate = nullptr;
  move(row, now, [&](Row& r) {
    replaced = rules::replace(r.rule, how, now, job.delay, job.start_within);
    if (!replaced) return false;
    r.payload = job.payload;
    if (r.details) r.details->checkpoint.clear();
    if (how == OnConflict::kReplace) {
      r.run_at = r.rule.state == State::kScheduled ? r.rule.wake_at : now;
    }
    left = lines_.part(r);
    left_rate = rates_.part(r);
    if (job.limit) {
      r.limit = job.limit->running;
      lines_.join(r, job.limit->key);
    }
    if (job.rate) rates_.join(r, *job.rate);
    return true;
  });
  if (left_rate != nullptr) free_rated(*left_rate, now);
  if (left != nullptr) free_pending(*left, now);
  return replaced;
}

void Jobs::remove(Row& row, Time now) {
  unindex(row);
  uniques_.part(row, now);
  if (row.details && !row.details->request_id.empty()) {
    requests_.erase(row.details->request_id);
  }
  --row.bucket->live;
  lines_.part(row);
  rates_.part(row);
  table_.remove(row);
}

bool Jobs::full_for(const Row& row, Time now) {
  if (row.line != nullptr && row.line->full_for(row)) return true;
  const RateLine* rate = row.rate_line();
  return rate != nullptr && rate->full_for(row, now);
}

void Jobs::hold_back(Row& row, Time now) {
  move(row, now, [&](Row& r) {
    rules::hold(r.rule);
    const RateLine* rate = r.rate_line();
    if (rate != nullptr) r.details->rate->held = rate->full_for(r, now);
    return true;
  });
}

// The rate comes first: only what it lets go stands in line for a limit.
void Jobs::place(Row& row, Time now) {
  if (row.rule.state == State::kPending) return;
  const RateLine* rate = row.rate_line();
  if (rate != nullptr) row.details->rate->held = false;
  if (row.rule.state != State::kAvailable) return;
  if (rate != nullptr && (rate->crowded_for(row, now) || rate->others_wait(row))) {
    rules::hold(row.rule);
    row.details->rate->held = true;
  } else if (row.line != nullptr && row.line->crowded_for(row)) {
    rules::hold(row.rule);
  }
}

// The row is where its rule put it, and in none of the orders.
void Jobs::move_keyed(Row& row, Time now) {
  place(row, now);
  index(row, now);
  if (RateLine* rate = row.rate_line()) free_rated(*rate, now);
  if (row.line != nullptr) free_pending(*row.line, now);
  if (is_final(row.rule.state)) retire(row, now);
}

void Jobs::let_go(Row& row, Time now) {
  unindex(row);
  rules::free(row.rule);
  index(row, now);
  freed_.push_back(ticket_of(row));
}

// One that cannot begin, since others have filled its window, goes over to those who wait
// for that, so that whoever is behind it may run in its stead.
void Jobs::free_pending(KeyLine& line, Time now) {
  while (Row* next = line.next()) {
    RateLine* rate = next->rate_line();
    if (rate == nullptr || !rate->crowded_for(*next, now)) {
      let_go(*next, now);
      continue;
    }
    unindex(*next);
    next->details->rate->held = true;
    index(*next, now);
    rates_.schedule(*rate, now);
  }
}

std::size_t Jobs::free_rated(RateLine& line, Time now, std::size_t max) {
  std::size_t looked = 0;
  for (Row* next = nullptr; looked < max && (next = line.next(now)) != nullptr;) {
    ++looked;
    if (next->line == nullptr || !next->line->crowded_for(*next)) {
      let_go(*next, now);
      continue;
    }
    unindex(*next);
    next->details->rate->held = false;  // it is its limit that it waits for now
    index(*next, now);
  }
  rates_.schedule(line, now);
  return looked;
}

std::size_t Jobs::window_opened(RateLine& line, Time now, std::size_t max) {
  const std::size_t looked = free_rated(line, now, max);
  rates_.forget(line, now);
  return looked;
}

void Jobs::unindex(Row& row) {
  const State state = row.rule.state;
  if (row.line != nullptr) row.line->leave(row);
  if (RateLine* rate = row.rate_line()) rate->leave(row);
  --row.bucket->count(state);
  if (state == State::kRunning && row.bucket->limit != nullptr) {
    --row.bucket->limit->running;
  }
  timers(state).erase(row);
  if (state == State::kAvailable) buckets_.remove_ready(row);
  if (is_final(state)) --final_rows_;
}

void Jobs::index(Row& row, Time now) {
  const State state = row.rule.state;
  if (row.line != nullptr) row.line->enter(row);
  if (RateLine* rate = row.rate_line()) rate->enter(row);
  Bucket& bucket = *row.bucket;
  ++bucket.count(state);
  if (state == State::kRunning && bucket.limit != nullptr) ++bucket.limit->running;
  if (row.rule.wake_at != kNever || is_final(state)) timers(state).insert(row);
  if (state == State::kAvailable) {
    buckets_.add_ready(row);
    if (bucket.fresh++ == 0) fresh_.push_back(&bucket);
  } else if (is_final(state)) {
    ++final_rows_;
    if (row.ended == kNever) row.ended = now;
    if (std::exchange(row.watched, false)) ended_.push_back(row.id);
  }
}

void Jobs::retire(Row& row, Time now) {
  if (row.rule.wake_at <= now) {
    remove(row, now);
    return;
  }
  while (final_rows_ > keep_.max_rows) remove(*oldest_final(), now);
}

Row* Jobs::oldest_final() const {
  Row* oldest = nullptr;
  for (const State s : {State::kCompleted, State::kCancelled, State::kDiscarded}) {
    Row* row = timers_[static_cast<std::size_t>(s)].front();
    if (row == nullptr) continue;
    if (oldest == nullptr || row->ended < oldest->ended) oldest = row;
  }
  return oldest;
}

}  // namespace carrel::memory
