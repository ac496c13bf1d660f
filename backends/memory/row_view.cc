#include "row_view.h"

#include <algorithm>
#include <utility>

#include "buckets.h"
#include "key_lines.h"
#include "rate_lines.h"
#include "unique_keys.h"

namespace carrel::memory {

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
