// From how an attempt ended, and what was decided about it, to what the store is told.
#pragma once

#include <carrel/retry.h>

#include <cstddef>
#include <string_view>

namespace carrel {

// All but the result, which the caller moves in where the verdict is kCompleted. The
// attempt goes into the job's history where there is something to say: a failure, or what
// a process used; a success in a thread says all in the row itself. `rung`: how far the
// ladder had gone when it ended. `finish` is fresh.
void fill_finish(Finish& finish, const Claimed& job, const Outcome& outcome,
                 const Decision& decision, Rung rung);

// At most `most` bytes of it, without half a character at the end.
std::string_view cut_message(std::string_view text, std::size_t most) noexcept;

// The store refuses `finish` for good, with `error`: the attempt fails instead, and no
// retry can mend it. Only what any store should take is left of it.
void make_bare(Finish& finish, const Claimed& job, Outcome& outcome, const Error& error);

// What a finish that the store applied, now or before, says of its job. A run whose
// handler completed the job in a transaction of its own reports a failure, in case that
// was rolled back; where it was committed, the job and `outcome` are completed.
Verdict verdict_of(const Finish& finish, const Finished& finished, Outcome& outcome);

// The store refuses that row for good, if it answers so to it alone; what else may fail
// it is told again later.
constexpr bool is_refusal(const Error& error) noexcept {
  return error.code == Code::kTooLarge || error.code == Code::kInvalid;
}

// What on_failed hears of: neither completed, snoozed nor released.
constexpr bool is_failure(Verdict verdict) noexcept {
  return verdict == Verdict::kRetry || verdict == Verdict::kDiscarded ||
         verdict == Verdict::kCancelled;
}

}  // namespace carrel
