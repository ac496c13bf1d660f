#include "jobs.h"

#include <algorithm>
#include <utility>

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

namespace {

Result<void> check_name(const char* what, const std::string& name) {
  constexpr std::size_t kLongest = 128;
  if (name.empty())
    return fail(Code::kInvalid, std::string(what) + " is empty", "memory");
  if (name.size() > kLongest) {
    return fail(Code::kInvalid,
                std::string(what) + " has " + std::to_string(name.size()) +
                    " bytes; at most 128 are allowed",
                "memory");
  }
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return fail(Code::kInvalid,
                  std::string(what) + " contains a control character (byte " +
                      std::to_string(byte) + ")",
                  "memory");
    }
  }
  return {};
}

}  // namespace

Result<void> check_queue(const std::string& name) {
  return check_name("the queue's name", name);
}

Result<void> check(const NewJob& job, const NewJob* checked) {
  if (checked == nullptr || job.queue != checked->queue || job.kind != checked->kind) {
    if (auto ok = check_queue(job.queue); !ok) return ok;
    if (auto ok = check_name("the job's kind", job.kind); !ok) return ok;
  }
  if (job.max_attempts == 0) {
    return fail(Code::kInvalid, "max_attempts of \"" + job.kind + "\" is 0; at least 1",
                "memory");
  }
  if (job.limit) {
    if (job.limit->key.empty() || job.limit->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the limit's key of \"" + job.kind + "\" has " +
                      std::to_string(job.limit->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.limit->running == 0) {
      return fail(Code::kInvalid, "the limit of \"" + job.kind + "\" is 0; at least 1",
                  "memory");
    }
  }
  if (job.rate) {
    if (job.rate->key.empty() || job.rate->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the rate's key of \"" + job.kind + "\" has " +
                      std::to_string(job.rate->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.rate->starts == 0) {
      return fail(Code::kInvalid, "the rate of \"" + job.kind + "\" is 0; at least 1",
                  "memory");
    }
    if (job.rate->period <= Duration::zero() ||
        job.rate->period > std::chrono::hours(24 * 31)) {
      return fail(
          Code::kInvalid,
          "the rate's period of \"" + job.kind + "\" must be above 0 and at most 31 days",
          "memory");
    }
  }
  if (job.unique) {
    if (job.unique->key.empty() || job.unique->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the unique key of \"" + job.kind + "\" has " +
                      std::to_string(job.unique->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.unique->states.empty()) {
      return fail(Code::kInvalid,
                  "the unique key of \"" + job.kind + "\" counts in no state", "memory");
    }
    if (job.unique->period < Duration::zero()) {
      return fail(Code::kInvalid, "the unique period of \"" + job.kind + "\" is negative",
                  "memory");
    }
  }
  for (const auto& [what, d] :
       {std::pair("delay", job.delay), std::pair("start_within", job.start_within),
        std::pair("timeout", job.timeout)}) {
    if (d < Duration::zero()) {
      return fail(Code::kInvalid,
                  std::string(what) + " of \"" + job.kind + "\" is negative", "memory");
    }
  }
  return {};
}

Ticket ticket_of(const Row& row) {
  return {row.id, row.bucket->queue, row.bucket->kind, row.bucket->priority};
}

void fill_claimed(Claimed& c, const Row& row) {
  c.lease = {row.id, row.rule.fence};
  c.queue = row.bucket->queue;
  c.kind = row.bucket->kind;
  c.payload = row.payload;
  if (row.details) c.checkpoint = row.details->checkpoint;
  c.timeout = row.timeout;
  c.priority = row.bucket->priority;
  c.attempt = row.rule.attempt;
  c.max_attempts = row.rule.max_attempts;
  c.crashes = row.rule.crashes;
}

JobRecord record_of(const Row& row) {
  JobRecord r;
  r.id = row.id;
  r.state = row.rule.state;
  r.queue = row.bucket->queue;
  r.kind = row.bucket->kind;
  r.payload = row.payload;
  r.result = row.result;
  r.worker = row.rule.worker.text();
  r.fence = row.rule.fence;
  r.priority = row.bucket->priority;
  r.attempt = row.rule.attempt;
  r.max_attempts = row.rule.max_attempts;
  r.crashes = row.rule.crashes;
  r.cancel_requested = row.rule.cancel_requested;
  if (row.line != nullptr) r.limit = Limit{row.line->key(), row.limit};
  if (row.details) {
    r.request_id = row.details->request_id;
    r.checkpoint = row.details->checkpoint;
    r.log = row.details->log;
    r.progress = row.details->progress;
    r.attempts = row.details->attempts;
    if (const auto& rate = row.details->rate) {
      r.rate = Rate{rate->line->key(), rate->starts, rate->period};
    }
    if (row.details->unique != nullptr) r.unique_key = row.details->unique->key;
  }
  r.timeout = row.timeout;
  r.enqueued = row.enqueued;
  r.run_at = row.run_at;
  if (row.rule.expires_at != kNever) r.expires = row.rule.expires_at;
  if (row.started != kNever) r.started = row.started;
  if (row.ended != kNever) r.ended = row.ended;
  return r;
}

void append_log(std::string& log, std::string_view lines) {
  constexpr std::size_t kMost = 16'384;
  if (lines.size() >= kMost) {
    log.clear();
    // One byte more than is kept shows whether a line begins there.
    lines.remove_prefix(lines.size() > kMost ? lines.size() - kMost - 1 : 0);
  }
  log.append(lines);
  if (log.size() <= kMost) return;
  // Whole lines go, as long as that leaves something.
  std::size_t cut = log.size() - kMost;
  const std::size_t line = log.find('\n', cut - 1);
  if (line != std::string::npos && line + 1 < log.size()) cut = line + 1;
  log.erase(0, cut);
}

void append_attempt(Row& row, Attempt attempt, Time now) {
  constexpr std::size_t kMost = 100;
  attempt.worker = row.rule.worker.text();
  attempt.started = row.started;
  attempt.ended = now;
  auto& attempts = row.more().attempts;
  if (attempts.size() >= kMost) attempts.erase(attempts.begin());
  attempts.push_back(std::move(attempt));
}

Progress bounded(const Progress& progress) {
  constexpr std::size_t kMost = 1024;
  Progress kept{progress.fraction, {}};
  std::size_t size = std::min(progress.message.size(), kMost);
  if (size < progress.message.size()) {
    // Not through the middle of a UTF-8 character.
    while (size > kMost - 4 &&
           (static_cast<unsigned char>(progress.message[size]) & 0xC0) == 0x80) {
      --size;
    }
  }
  kept.message = progress.message.substr(0, size);
  return kept;
}

}  // namespace carrel::memory
