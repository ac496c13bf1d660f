// The checker: what must hold after any number of kills, stops and lost answers.
//
// It holds event logs (carrel/conformance/events.h), which nothing under test can change,
// against the rows of a store at rest.
#pragma once

#include <carrel/conformance/events.h>
#include <carrel/store.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace carrel::conformance {

struct CheckReport {
  std::size_t acknowledged = 0;  // enqueues, by request id
  std::size_t rows = 0;          // in the store
  std::size_t unnamed = 0;       // of these, without a request id
  std::size_t acknowledged_unnamed = 0;
  std::size_t completed = 0;
  std::size_t discarded = 0;
  std::size_t cancelled = 0;
  std::size_t waiting = 0;         // not final, not running
  std::size_t limited = 0;         // rows with a limit
  std::size_t rated = 0;           // rows with a rate
  std::size_t unique = 0;          // rows that were enqueued under a unique key
  std::size_t met = 0;             // acknowledged enqueues that met such a job
  std::size_t runs = 0;            // handlers begun
  std::size_t repeated = 0;        // jobs whose handler began more than once
  std::size_t overlaps = 0;        // runs begun while an earlier one of the job still ran
  std::size_t stale_finishes = 0;  // refused, as they must be
  std::size_t stale_beats = 0;
  std::size_t already = 0;          // finishes that had been applied before
  std::vector<std::string> broken;  // each names the rule and the job; empty: all hold
  // What happened to the first few of those jobs, a line an event, in order.
  std::vector<std::string> stories;
};
std::string to_string(const CheckReport& report);  // a few lines for people

// Reads all rows through `store`, which must be at rest (no worker alive) and must not
// have purged any:
//   1 every acknowledged enqueue is a row, or has met one of its unique key; and every
//     row was asked for (one without a request id is known by its payload, of which there
//     is to be one)
//   3 at most one accepted completion a job, and none without a run that ended
//   4 a fence is granted once, none is above its row's, the accepted result carries the
//     row's; a request id enqueues once
//   5 two runs of a job overlap only if the lease of the first had ended
//   6 attempts ≤ max_attempts
//   7 no row is running
//   8 hashes of payloads and results agree from end to end
//   10 of a limit's key, no more runs were under way at once than the largest number that
//     its jobs name
//   11 of a rate's key, no attempt began as one too many within its job's period
//   12 of a unique key, no job was enqueued while another was in the states and the
//     period that it names; and an enqueue that added none was answered with such a one
// What a store cannot tell (2, what a host has rolled back; 9, its file's integrity;
// processes and descriptors left) is for the caller to see.
// Events in any order. `after`: only of jobs whose ids are above it; those up to it were
// checked before, and may have been purged since.
Result<CheckReport> check(Store& store, std::span<const Event> events, JobId after = {});

}  // namespace carrel::conformance
