#include "row_view.h"

#include <carrel/kept.h>

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

void append_attempt(Row& row, Attempt attempt, Time now) {
  attempt.worker = row.rule.worker.text();
  attempt.started = row.started;
  attempt.ended = now;
  auto& attempts = row.more().attempts;
  if (attempts.size() >= rules::kKeptAttempts) attempts.erase(attempts.begin());
  attempts.push_back(std::move(attempt));
}

Progress bounded(const Progress& progress) {
  return {progress.fraction, std::string(rules::bounded_message(progress.message))};
}

}  // namespace carrel::memory
