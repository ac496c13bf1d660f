// Store: the record of truth. A job exists exactly when its row is committed here.
//
// Threads: every call is safe beside every other. Spans are borrowed for the call only.
// Atomicity: each call is one transaction, but an error of one row does not fail the
// others. Blocking: every call may block for as long as the database does. Answers align
// with inputs. Time: only the store's clock is stored or compared; callers hand in
// durations. The rules by which rows move are carrel/rules.h; every store follows them.
#pragma once

#include <carrel/clock.h>
#include <carrel/job.h>
#include <carrel/queue.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

// How long a final row is kept. Zero: deleted by the finish itself.
struct Retention {
  Duration completed = std::chrono::hours(24);
  Duration cancelled = std::chrono::hours(24);
  Duration discarded = std::chrono::hours(24 * 7);
  // At most about this many final rows, the oldest go first; 0: no bound. The memory
  // store takes 0 as its own default, 10,000.
  std::size_t max_rows = 0;

  Duration of(State final_state) const noexcept;
};

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kOff };
// Where a component says what people should know. Safe from any thread; never blocks for
// long.
using LogFn = std::function<void(LogLevel, std::string_view)>;

// What the engine hands to a store's or queue's factory.
struct BackendOptions {
  // For a store that has no server with a clock. Null: the store's own choice,
  // process_clock() where it is this process's alone, else system_clock(). Borrowed.
  const Clock* clock = nullptr;
  Retention retention;
  // Of these queues at most so many jobs run at once, in all workers of the store
  // together: what this store claims is held to it.
  std::map<std::string, std::uint32_t> queue_limits;
  Duration poll =
      std::chrono::seconds(1);  // look for what other processes did at least this often
  LogFn log = [](LogLevel, std::string_view) {};
};

struct StoreTraits {
  Reach reach = Reach::kProcess;
  bool durable = false;            // rows outlive the process
  bool host_transactions = false;  // enqueue can join the host's own transaction
  bool limits = false;             // honours NewJob::limit; else insert refuses one
  bool unique = false;             // honours NewJob::unique; likewise
  bool rates = false;              // honours NewJob::rate; likewise
  bool queue_limits = false;       // honours BackendOptions::queue_limits
  // A call may wait for a disk or a server. Where it does not, the engine makes claims
  // and finishes on whatever thread has them at hand, and hands them to no other.
  bool blocks = true;
  std::size_t max_batch = 1024;   // more rows than this in a call are split by the store
  std::uint64_t max_payload = 0;  // bytes of a payload, result or checkpoint; 0: no bound
};

// Which jobs a listing shows. Empty members match all.
struct Filter {
  std::vector<State> states;
  std::string queue;
  std::string kind;
  Duration older_than{0};  // enqueued at least this long ago; 0: any
};

struct Counts {
  // [queue][state] → rows
  std::map<std::string, std::array<std::uint64_t, kStateCount>> by_queue;
  std::array<std::uint64_t, kStateCount> total{};
  std::map<std::string, std::uint64_t>
      available_by_kind;  // to see kinds that nobody takes
  std::optional<Duration>
      oldest_available;  // how long the longest-waiting due job has waited
};

// What a store takes, for who watches that it does not grow: as the database knows it
// without counting, so not to the byte. Empty: it does not know, or tells not everybody.
struct Footprint {
  // The table that claims read, with its indexes; SQLite: the file.
  std::uint64_t jobs_bytes = 0;
  std::optional<std::uint64_t> free_bytes;  // of these, kept for what comes
  std::optional<std::uint64_t> log_bytes;   // SQLite: written, and not yet in the file
  // What was changed or deleted, and is still there. PostgreSQL: rows of that table,
  // since its last vacuum; MariaDB: transactions of the server that are not purged.
  std::optional<std::uint64_t> dead_rows;
  // How long the oldest transaction is open: what died since then cannot be cleared away.
  // PostgreSQL tells it of sessions of the same user, or to a member of pg_monitor.
  std::optional<Duration> oldest_transaction;
};

// A list ends with the job that brings what its jobs carry (listed_bytes) to this many
// bytes.
inline constexpr std::size_t kMaxListBytes = 16U << 20;
inline constexpr std::size_t kAttemptBytes = 256;  // beside what it says
inline std::size_t listed_bytes(const JobRecord& job) noexcept {
  std::size_t bytes =
      job.payload.size() + job.result.size() + job.checkpoint.size() + job.log.size();
  for (const Attempt& a : job.attempts) {
    bytes += kAttemptBytes + a.message.size() + a.stderr_tail.size();
  }
  return bytes;
}

// Reads for people and dashboards; never on a job's path.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual Result<JobRecord> job(JobId id) = 0;  // kNotFound: never was, or purged
  // Newest first, ids below `before` (JobId{0}: from the newest), at most `limit`, and
  // fewer where they are long, by kMaxListBytes: only an empty answer says that there are
  // no more.
  virtual Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                              std::size_t limit) = 0;
  virtual Result<Counts> counts() = 0;
  virtual Result<std::vector<std::string>> paused() = 0;  // queues, sorted
  // kUnsupported: it is on no disk, or not where it is seen from here.
  virtual Result<Footprint> footprint() {
    return fail(Code::kUnsupported, "the store does not say what it takes", "store");
  }
};

class Store {
 public:
  virtual ~Store() = default;
  virtual StoreTraits traits() const noexcept = 0;

  // The store as its own queue. nullptr: it is none, and needs a Queue beside it.
  // The source may outlive no call of the store; the store outlives the source.
  virtual std::unique_ptr<ClaimSource> claim_source() { return nullptr; }

  // Commits the rows, then answers. `deadline`: give up waiting after this long with
  // kUnavailable (the rows may or may not be stored; a request_id makes asking again
  // safe). Of enqueues of one unique key, however many at once and wherever, each sees
  // what the one before it did.
  virtual std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                               Duration deadline) = 0;

  // available→running for those still claimable. One that another claim holds locked at
  // that moment may be passed over, also where that claim then leaves it: it stays
  // available, and is there for the next. One whose key is at its limit becomes
  // pending instead; as soon as a job of that key stops running, or one that could have
  // run goes otherwise, the best of those it held back become available.
  virtual Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                                 std::string_view worker,
                                                 std::uint64_t claim_number,
                                                 Duration lease) = 0;

  // `beats` names every lease that `worker` holds. Stores progress, checkpoint and log,
  // and if `renew` extends each lease to `lease` from now. Waits for nobody: a row that
  // another transaction holds is passed over (kHeld), and asked for again soon, with what
  // the beat carried. A running row of this worker that is not named and whose
  // claim_number ≤ settled_claim is set free, its attempt refunded: its claim's answer
  // was lost. Unless another holds something of it: then by a later beat.
  virtual Result<std::vector<Pulse>> beat(std::string_view worker,
                                          std::uint64_t settled_claim,
                                          std::span<const Beat> beats, bool renew,
                                          Duration lease) = 0;

  // Row by row: a row that cannot be stored fails alone, with kTooLarge or kInvalid, and
  // for good. With any other code it may be asked again, also where the others of the
  // call were stored: another holds what it needs. A checkpoint that is too large is left
  // out, here as by a beat, and said in the log.
  virtual std::vector<Result<Finished>> finish(std::span<const Finish> runs) = 0;

  virtual Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) = 0;

  // By an operator: a final, scheduled or retryable job becomes available now, with at
  // least one attempt left and its crash count cleared. kInvalid: it runs or is available
  // already. kNotFound.
  virtual std::vector<Result<Ticket>> retry(std::span<const JobId> ids) = 0;

  // Up to demand.max tickets of available jobs in queues that are not paused, best first:
  // for a queue that starts empty or runs low. Writes nothing.
  virtual Result<std::vector<Ticket>> peek(const Demand& demand) = 0;

  // Advances up to `max` rows that are due: scheduled, retryable, leases that ended,
  // expiries, purges. Safe from many processes at once.
  virtual Result<Swept> sweep(std::size_t max) = 0;

  // Jobs of a paused queue are not claimed; those that run go on. On resume, tickets of
  // (some of) the jobs that may run now.
  virtual Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) = 0;

  // Blocks until at least one of these jobs is final or gone, or `wait` ends; answers
  // with those that are. Level-triggered: nothing can be missed between two calls.
  virtual Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                                 Duration wait) = 0;

  // Jobs that others committed to this store's database are available: a hint for who
  // waits here, and where there is a way for other processes. Does not block.
  virtual void announce(std::span<const Ticket> /*tickets*/) noexcept {}

  // Wakes everything that waits inside the store, now and for ever.
  virtual void interrupt() noexcept = 0;

  virtual Monitor& monitor() noexcept = 0;  // lives as long as the store
};

}  // namespace carrel
