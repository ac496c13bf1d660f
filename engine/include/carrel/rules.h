// The rules by which a job's row moves: what every store implements.
//
// Pure functions over one row. The memory store runs them as they stand, the SQL stores
// say the same in statements, tests/model searches every interleaving of them, and the
// conformance suite holds every store to them. The invariants are in engine/README.md.
#pragma once

#include <carrel/job.h>
#include <carrel/store.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::rules {

// A worker's id. Copies share one text, so that the many rows of a worker keep it once.
class WorkerId {
 public:
  WorkerId() = default;  // nobody's: empty
  explicit WorkerId(std::string_view id)
      : text_(id.empty() ? nullptr : std::make_shared<const std::string>(id)) {}

  const std::string& text() const noexcept {
    static const std::string nobody;
    return text_ ? *text_ : nobody;
  }
  friend bool operator==(const WorkerId& a, const WorkerId& b) noexcept {
    return a.text_ == b.text_ || a.text() == b.text();
  }
  friend bool operator==(const WorkerId& a, std::string_view b) noexcept {
    return a.text() == b;
  }

 private:
  std::shared_ptr<const std::string> text_;
};

struct Row {
  State state = State::kAvailable;
  bool cancel_requested = false;
  std::uint16_t attempt = 0;
  std::uint16_t max_attempts = 1;
  std::uint16_t crashes = 0;
  Fence fence{};
  // The fence whose finish was applied last: its repetition is kAlready, not kStale.
  Fence finished_fence{};
  // When the sweep must look: scheduled and retryable: due; running: end of lease;
  // available and pending: expiry, or kNever; final: purge.
  Time wake_at = kNever;
  Time expires_at = kNever;
  std::uint64_t claim_number = 0;  // of `worker`, while running
  WorkerId worker;
};

Row admit(Time now, Duration delay, Duration start_within, std::uint16_t max_attempts);

// available→pending: its limit or rate is full. False: it is not available.
bool hold(Row& row);
// pending→available: there is room again. False: it is not pending.
bool free(Row& row);

// Whether an enqueue of `unique` meets the job that holds its key, which is in state
// `holder` and was enqueued at `enqueued`.
bool meets(const Unique& unique, State holder, Time enqueued, Time now);
// When nobody asks for that job any more, were each enqueue of its key like its own.
Time unique_until(const Unique& unique, Time enqueued);

// A waiting job falls due anew, as admit() says, and its attempts count on; or with
// OnConflict::kReplaceKeepTime when it would have. False: it runs or is final, and is
// unchanged.
bool replace(Row& row, OnConflict how, Time now, Duration delay, Duration start_within);

// available→running. Raises fence and attempt. On a refusal the row is unchanged.
std::optional<Refusal> claim(Row& row, const WorkerId& worker,
                             std::uint64_t claim_number, Duration lease, Time now);

// The lease is still (fence, running)? Renews it if asked.
Pulse beat(Row& row, Fence fence, bool renew, Duration lease, Time now);

// A running row of `worker` that its beat did not name: true if it was set free, its
// attempt refunded: available, or cancelled where that was asked. Its worker never knew
// of it, so that its expiry holds on.
bool release_unnamed(Row& row, std::string_view worker, std::uint64_t settled_claim,
                     const Retention& keep, Time now);

// Applies the verdict if (fence, running) holds. `row.state` says what became of it.
Finished::Kind finish(Row& row, Fence fence, Verdict verdict, Duration retry_in,
                      bool crashed, const Retention& keep, Time now);

Cancelled cancel(Row& row, const Retention& keep, Time now);

// An operator's retry; false: it runs or is available already.
bool retry(Row& row, Time now);

enum class SweepAct : std::uint8_t {
  kNothing,    // not due
  kDue,        // scheduled or retryable → available
  kRescued,    // lease ended → available; attempt spent
  kExhausted,  // lease ended → discarded: no attempt left
  kCancelled,  // lease ended → cancelled, as was asked
  kExpired,    // start_within passed → discarded
  kPurge,      // delete the row
};
SweepAct sweep(Row& row, const Retention& keep, Time now);
// What the history says of the attempt of a running row whose lease has ended, where no
// worker is there to tell. Before sweep(), which adds it to the history where it rescues,
// exhausts or cancels.
Attempt lost_attempt(const Row& row);

}  // namespace carrel::rules
