#include "finish.h"

namespace carrel {
namespace {

constexpr std::size_t kMostMessage =
    64 * 1024;  // of an attempt, whatever a handler threw

// What is worth an entry in the job's history: failures, and what a process used.
bool worth_keeping(const Outcome& outcome, Verdict verdict) {
  if (verdict == Verdict::kSnoozed || verdict == Verdict::kReleased ||
      verdict == Verdict::kInterrupted) {
    return false;
  }
  return outcome.klass != OutcomeClass::kOk || outcome.usage.max_rss_bytes > 0;
}

Attempt attempt_of(const Claimed& job, const Outcome& outcome, Rung rung) {
  Attempt a;
  a.attempt = job.attempt;
  a.fence = job.lease.fence;
  a.klass = outcome.klass;
  if (outcome.klass != OutcomeClass::kOk) {
    a.message = cut_message(outcome.error.message, kMostMessage);
    a.code = outcome.error.code;
    a.native = outcome.error.native;
  }
  a.exit_code = outcome.exit_code;
  a.signal = outcome.signal;
  a.usage = outcome.usage;
  a.stderr_tail = outcome.stderr_tail;
  a.rung = rung;
  a.leftover_killed = outcome.leftover_killed;
  if (outcome.enforced) a.enforced = *outcome.enforced;
  return a;
}

}  // namespace

std::string_view cut_message(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  return text.substr(0, most);
}

void fill_finish(Finish& finish, const Claimed& job, const Outcome& outcome,
                 const Decision& decision, Rung rung) {
  finish.lease = job.lease;
  finish.verdict = decision.verdict;
  finish.retry_in = decision.retry_in;
  finish.crashed = decision.crashed;
  if (worth_keeping(outcome, decision.verdict)) {
    finish.attempt = attempt_of(job, outcome, rung);
  }
}

void make_bare(Finish& finish, const Claimed& job, Outcome& outcome, const Error& error) {
  std::string first = "the result";
  if (finish.verdict != Verdict::kCompleted) {
    first = cut_message(outcome.error.message, 1024);
    first += "; its end";
  }
  finish.verdict = Verdict::kDiscarded;
  finish.retry_in = Duration{0};
  finish.result.clear();
  finish.progress.reset();
  finish.checkpoint.reset();
  finish.log.clear();
  outcome.klass = OutcomeClass::kDiscarded;
  outcome.result.clear();
  outcome.error = {error.code, first + " cannot be stored: " + error.message};
  Attempt attempt;
  attempt.attempt = job.attempt;
  attempt.fence = job.lease.fence;
  attempt.klass = OutcomeClass::kDiscarded;
  attempt.code = error.code;
  attempt.message = outcome.error.message;
  attempt.usage = outcome.usage;
  finish.attempt = std::move(attempt);
}

Verdict verdict_of(const Finish& finish, const Finished& finished, Outcome& outcome) {
  if (finished.kind != Finished::Kind::kAlready || finished.state != State::kCompleted) {
    return finish.verdict;
  }
  outcome.klass = OutcomeClass::kOk;
  outcome.error = {};
  return Verdict::kCompleted;
}

}  // namespace carrel
