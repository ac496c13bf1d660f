// What is said about jobs across the Queue, Store and Isolation interfaces.
#pragma once

#include <carrel/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace carrel {

// A limit that jobs share: of those with this key, no more than `running` run at once,
// wherever their workers are. It is counted over the rows, so that no crash can leave it
// wrong. Jobs of one key may name different numbers; each is held to its own.
struct Limit {
  std::string key;            // 1–256 bytes
  std::uint32_t running = 1;  // ≥ 1
};

// A rate that jobs share: of those with this key, no more than `starts` attempts begin
// within any `period`, wherever their workers are: a window that slides. It is counted
// over rows that are written as attempts begin. Jobs of one key may name different rates;
// each is held to its own.
struct Rate {
  std::string key;           // 1–256 bytes
  std::uint32_t starts = 1;  // ≥ 1
  Duration period{0};        // > 0, at most 31 days
};

// What becomes of an enqueue that meets a job of its key.
enum class OnConflict : std::uint8_t {
  kSkip,     // nothing: that job is the answer
  kReplace,  // if that job waits, it gets these arguments and falls due as asked here
  kReplaceKeepTime,  // likewise, but it falls due when it would have
};
// "skip", "replace", "replace_keep_time"
std::string_view to_string(OnConflict what) noexcept;

// A key that at most one job holds: the last that was enqueued under it. An enqueue of
// the same key meets that job if it is in one of `states` and was enqueued less than
// `period` ago; else the new job takes the key over. Only an enqueue asks: neither a
// retry nor anything else that moves a job is refused. A period holds also where the job
// is kept for a shorter time.
struct Unique {
  std::string key;            // 1–256 bytes
  Duration period{0};         // 0: as long as that job is kept
  std::vector<State> states;  // of the job that holds the key; at least one
  OnConflict on_conflict = OnConflict::kSkip;
};

// A job to insert.
struct NewJob {
  std::string queue = "default";  // 1–128 bytes, no control characters
  std::string kind;               // likewise
  std::string payload;            // any bytes; JSON by convention
  // The producer's own name for this enqueue, unique in the store: the same request_id
  // again inserts nothing and answers with the first job. Empty: none.
  std::string request_id;
  Duration delay{0};  // not before now + delay
  Duration start_within{
      0};               // discarded if not started this long after it fell due; 0: never
  Duration timeout{0};  // of one attempt; 0: the kind's
  std::int16_t priority = 0;        // lower runs first
  std::uint16_t max_attempts = 25;  // ≥ 1
  std::optional<Limit> limit;       // needs StoreTraits::limits
  std::optional<Rate> rate;         // needs StoreTraits::rates
  std::optional<Unique> unique;     // needs StoreTraits::unique
};

// "Look at job 7." A hint that a queue carries; it grants nothing.
struct Ticket {
  JobId id{};
  std::string queue;
  std::string kind;
  std::int16_t priority = 0;
};

// The answer to one insert.
struct Inserted {
  JobId id{};
  // No job was added: the request_id was known, or NewJob::unique met a job; id is that
  // one's. It may be gone by now, if its key is kept longer than it. A request_id that
  // met a job so is not kept: the same again asks again.
  bool existed = false;
  bool replaced = false;         // and its arguments are now these
  std::optional<Ticket> ticket;  // if the job is available now
};

// The right to run one job, and to write about that run.
struct Lease {
  JobId id{};
  Fence fence{};
};

// A claimed job: all that a run needs to know.
struct Claimed {
  Lease lease;
  std::string queue;
  std::string kind;
  std::string payload;
  std::string checkpoint;  // what an earlier attempt saved last; empty: nothing
  Duration timeout{0};     // as enqueued; 0: the kind's
  std::int16_t priority = 0;
  std::uint16_t attempt = 1;  // counts this one
  std::uint16_t max_attempts = 25;
  std::uint16_t crashes = 0;  // attempts of this job that crashed their own child
  // boot_time() of who claims, before the store was asked to grant the lease, which lasts
  // from then on at the least, however late the answer came. A ClaimSource says it; of
  // Store::claim, who calls it knows.
  Duration granted{0};
};

// Why a ticket was not claimed. None is an error, and in none is the job lost.
enum class Refusal : std::uint8_t {
  kGone,     // final, running elsewhere, expired or purged: forget the ticket
  kEarly,    // not due yet: the sweep will find it
  kPaused,   // its queue is paused: resume finds it
  kLimited,  // its limit is full: pending until a run of that key ends; or its rate is:
             // until the window opens
};
using ClaimAnswer = tl::expected<Claimed, Refusal>;

// How a run ended, in the words of isolation/README.md. The names are stored and shown.
enum class OutcomeClass : std::uint8_t {
  kOk,
  kFailed,            // the handler answered with an error or threw
  kSnoozed,           // the handler asked for later
  kDiscarded,         // the handler said that no retry can mend it
  kCancelled,         // ended because it was asked to
  kCrashed,           // the forked child died of a signal
  kWorkerLost,        // the process that ran it, or its server, is gone
  kProtocolError,     // the child ended without a whole result
  kExitNonzero,       // the program said no
  kSignaled,          // the program died of a signal
  kWallTimeout,       // past its time; ended by the ladder
  kTimeoutAbandoned,  // past its time in a thread, which cannot be killed
  kCpuTimeout,
  kMemoryLimit,
  kOutputLimit,
  kFsizeLimit,
  kSpawnError,          // the program could not be started: see native
  kSandboxUnavailable,  // this machine cannot give the isolation asked for
  kResourceError,       // no memory, process or descriptor left
};
// "ok", "failed", …, "wall_timeout", …
std::string_view to_string(OutcomeClass klass) noexcept;
std::optional<OutcomeClass> parse_outcome_class(std::string_view name) noexcept;

struct Usage {
  Duration wall{0};
  Duration cpu{0};  // user + system, of the run's whole process tree; 0: not known
  std::uint64_t max_rss_bytes = 0;  // 0: not known
};

// How far the ladder that ends a run had gone when the run ended.
enum class Rung : std::uint8_t {
  kNone,  // nobody asked it to stop
  kStop,  // it was asked to
  kTerm,  // SIGTERM was sent
  kKill,  // SIGKILL was sent
};
std::string_view to_string(Rung rung) noexcept;  // "", "stop", "term", "kill"

// One entry of a job's attempt history.
struct Attempt {
  std::uint16_t attempt = 0;
  Fence fence{};
  OutcomeClass klass = OutcomeClass::kFailed;
  std::string message;        // of the error; empty for kOk
  Code code = Code::kFailed;  // of the error; means nothing for kOk
  int native = 0;             // errno where there is one
  int exit_code = 0;
  int signal = 0;
  Usage usage;
  std::string stderr_tail;  // of a program or child; at most 4 KiB
  Rung rung = Rung::kNone;
  bool leftover_killed = false;       // it left processes behind
  std::vector<std::string> enforced;  // in a sandbox: "namespaces", "seccomp", …
  std::string worker;                 // who ran it; the store fills it in
  Time started{};                     // the store fills it in
  Time ended{};                       // the store fills it in
};
void to_json(Json& j, const Attempt& a);
void from_json(const Json& j, Attempt& a);  // throws Json::exception on the wrong shape

struct Progress {
  float fraction = 0;   // 0 to 1
  std::string message;  // at most 1 KiB is kept
};

// What a finished run asks of its job.
enum class Verdict : std::uint8_t {
  kCompleted,
  kRetry,  // retryable after retry_in; discarded by the store if no attempt is left
  kDiscarded,
  kCancelled,
  kSnoozed,   // scheduled after retry_in; the attempt is refunded
  kReleased,  // available at once, as if it had not been claimed
  // Available at once, since its worker stops; the attempt is refunded. It had begun, so
  // that start_within is kept.
  kInterrupted,
};

struct Finish {
  Lease lease;
  Verdict verdict = Verdict::kCompleted;
  Duration retry_in{0};
  bool crashed = false;  // counts towards the poison rule
  std::string result;    // of kCompleted: any bytes; JSON by convention
  std::optional<Attempt>
      attempt;  // appended to the history; absent: nothing worth keeping
  std::optional<Progress> progress;       // the last, where no beat has carried it yet
  std::optional<std::string> checkpoint;  // likewise
  std::string log;                        // lines, each ended by '\n', not carried yet
};

struct Finished {
  enum class Kind : std::uint8_t {
    kApplied,
    kAlready,  // this very finish was applied before; its answer was lost
    kStale,    // the lease is gone: nothing was changed
  };
  Kind kind = Kind::kApplied;
  State state = State::kCompleted;  // of the job after kApplied
  std::vector<Ticket> freed;        // jobs that this one had held back, available now
};

struct Beat {
  Lease lease;
  std::optional<Progress> progress;       // if it moved since the last beat
  std::optional<std::string> checkpoint;  // likewise
  std::string log;                        // lines since the last beat
};

// The answer to a beat.
enum class Pulse : std::uint8_t {
  kAlive,
  kCancel,  // alive, and somebody asked for it to stop
  kStale,   // the lease is gone, and what this beat carried was not stored: the run is
            // somebody else's now, or completed
  kHeld,    // another transaction holds its row: it is still this run's as far as can be
            // seen, but nothing was changed. Its lease was not renewed, and what this
            // beat carried was not stored
};

enum class Cancelled : std::uint8_t {
  kCancelled,  // it had not started: final now
  kRequested,  // it runs: its worker is told with the next beat
  kAlreadyFinal,
  kNotFound,
};

// What one sweep did.
struct Swept {
  std::vector<Ticket> due;    // became available
  std::size_t rescued = 0;    // leases that had ended
  std::size_t discarded = 0;  // expired, or rescued with no attempt left
  std::size_t purged = 0;
  // Until the next row falls due; Duration::max(): none is waiting.
  Duration next = Duration::max();
};

// All that is known of one job: for people, hooks and tests; never on a job's path.
struct JobRecord {
  JobId id{};
  State state = State::kAvailable;
  std::string queue;
  std::string kind;
  std::string payload;
  std::string request_id;
  std::string result;
  std::string checkpoint;
  std::string worker;  // of the current or last run
  std::string log;     // lines; the last 16 KiB
  Fence fence{};
  std::int16_t priority = 0;
  std::uint16_t attempt = 0;
  std::uint16_t max_attempts = 0;
  std::uint16_t crashes = 0;
  bool cancel_requested = false;
  std::optional<Limit> limit;
  std::optional<Rate> rate;
  std::string unique_key;  // that it holds; empty: none
  std::optional<Progress> progress;
  std::vector<Attempt> attempts;  // oldest first; the last 100
  Duration timeout{0};
  Time enqueued{};
  Time run_at{};                // when it falls or fell due
  std::optional<Time> expires;  // start_within, as an instant
  std::optional<Time> started;  // of the current or last run
  std::optional<Time> ended;    // when it became final
};
void to_json(Json& j, const JobRecord& r);  // what `carrel show --json` prints

}  // namespace carrel
