// The engine: what a host application links, configures and talks to.
//
//   carrel::Engine engine = carrel::Engine::open("carrel.toml").value();
//   engine.handle("thumbnail", [](carrel::Context& job) -> carrel::Result<carrel::Json> {
//     job.progress(0.4, "resizing");
//     return carrel::Json{{"width", 64}};
//   });
//   auto id = engine.enqueue("thumbnail", {{"path", "a.png"}}, {.timeout = 30s}).value();
//   engine.run();
#pragma once

#include <carrel/config.h>
#include <carrel/context.h>
#include <carrel/hold.h>
#include <carrel/job.h>
#include <carrel/registry.h>
#include <carrel/store.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carrel {

// What an enqueue may say beyond kind and arguments; what it leaves out comes from the
// configuration of the kind.
struct EnqueueOptions {
  std::string queue = {};
  Duration delay{0};         // not before now + delay
  Duration start_within{0};  // discarded if not started this long after it fell due
  Duration timeout{0};       // of one attempt
  std::optional<std::int16_t> priority = {};  // lower runs first
  std::uint16_t max_attempts = 0;             // 0: the kind's
  std::string request_id = {};                // the same again answers with the first job
  std::optional<Limit> limit = {};  // jobs that may run at once; else the kind's
  std::optional<Rate> rate = {};    // attempts that may begin in a time; else the kind's
  // What makes it the same as another; else the kind's. Without fields: nothing.
  std::optional<UniqueConfig> unique = {};
};

struct Request {
  std::string kind;
  Json args;
  EnqueueOptions options = {};
};

// A finished attempt, told to the hooks after its commit.
struct Event {
  const Claimed& job;
  const Outcome& outcome;
  Verdict verdict;  // what was asked of the store
  State state;      // what the job is now
};
using Hook = std::function<void(const Event&)>;
// A report of a run that goes on, as the handler or program made it.
using ProgressHook = std::function<void(const Claimed& job, const Progress& progress)>;

struct DrainReport {
  std::size_t completed = 0;
  std::size_t failed = 0;  // attempts that failed, retried or not
  std::size_t cancelled = 0;
};

// What [queues.NAME] says of a queue, and what of it is used. What other processes may
// take of it is in the configuration of theirs.
struct QueueHealth {
  std::uint32_t weight = 1;
  std::uint32_t concurrency = 0;  // at once in this process; 0: no bound
  std::size_t busy = 0;           // of these, where there is a bound
  std::uint32_t limit = 0;        // in all workers of the store together; 0: no bound
  std::uint64_t running = 0;      // of these
};

struct Health {
  bool running = false;  // it takes jobs, or stops: from start() to the end of stop(),
                         // and in drain()
  Counts counts;         // of the store
  std::vector<std::string> paused;
  std::map<std::string, QueueHealth> queues;  // those that the configuration names
  std::optional<Footprint> footprint;         // empty: the store does not say
  // Kinds that wait while nobody here knows them, sorted: in a worker those without a
  // handler or program, in a producer those that its configuration does not name.
  std::vector<std::string> unhandled;
  std::size_t slots = 0;  // worker.concurrency
  std::size_t busy = 0;   // runs that have not ended
  std::size_t stuck = 0;  // abandoned threads that are still busy
  // Isolations each of whose threads is one of these: no job of their kinds is taken.
  std::vector<std::string> exhausted;
  std::size_t unflushed = 0;    // finished runs whose finish is not committed yet
  std::uint64_t completed = 0;  // by this engine, since start
  std::uint64_t failed = 0;
  std::uint64_t stale = 0;       // finishes and beats refused because the lease was lost
  Duration store_round_trip{0};  // of the counts above
  // Why a call of a worker loop failed, until its next succeeds or the store takes a
  // write.
  std::optional<std::string> store_error;
  // Why the queue is away; jobs are then found in the store.
  std::optional<std::string> queue_error;
};
void to_json(Json& j, const Health& h);

// Threads: every call is safe beside every other, but for handle() and the hooks'
// setters, which come before the first enqueue, wait, job or start. That first call
// *ignites* the engine: it freezes the handlers, forks the process server if a kind needs
// it, then loads the backends and starts threads. open() only reads.
//
// In handlers and hooks: these run on threads of the engine, and may call it. There
// stop() only asks, start(), run() and drain() are kInvalid, and destroying it aborts,
// for it would wait for its caller. In a handler whose job is to stop, wait() ends with
// kCancelled; in a hook it does not wait. A handler that did not heed a stop and is in a
// call when the engine is destroyed is waited for; it is told kCancelled by wait(), and
// must call no more.
//
// From its ignition on an engine is its process's. A process that was forked from that
// one, as a handler of a `fork` kind is, has a copy: what answers with a Result is
// kUnsupported there, destroying it does nothing, store() aborts. It may open one of its
// own.
//
// An engine that was moved from is empty: it may be assigned to or destroyed, no more.
class Engine {
 public:
  // Reads the file and the environment. kInvalid, kNotFound: a message that names the
  // place.
  static Result<Engine> open(const std::filesystem::path& config);
  // Takes the configuration as it stands, without the environment.
  static Result<Engine> open(Config config,
                             Registry registry = Registry::with_builtins());

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  // stop(0s), if started. Every call but those of handlers has returned. Nothing, in a
  // forked process.
  ~Engine();

  // Registers what runs a kind of job. An error also comes out of the ignition
  // (registered twice, empty, no name of a kind) or of the next start, run or drain
  // (engine already ignited), so it may be ignored here. Where the configuration gives
  // the kind a command, that runs instead and the handler is dropped.
  template <class F>
  Result<void> handle(std::string_view kind, F f) {
    return add_handler(kind, make_handler(std::move(f)));
  }
  // f(Context&, const Args&), Args by nlohmann's from_json.
  template <class Args, class F>
  Result<void> handle(std::string_view kind, F f) {
    return add_handler(kind, make_handler<Args>(std::move(f)));
  }

  // For `fork` kinds, see Handlers. kInvalid, now or when the engine ignites: too late,
  // for there is a process server; say it in the setup of prefork() or main_hook() then.
  Result<void> preload(std::function<void()> load);
  Result<void> after_fork_child(std::function<void()> hook);

  // Called on a thread of theirs, one at a time, in the order in which the ends were
  // stored: who takes long holds up the others, stop() and drain(), and in the end new
  // jobs. What they throw is logged. on_finished hears every attempt of this engine that
  // was applied, on_failed only those that did not complete, snooze or release. Of what
  // others do nothing is heard: an attempt of another process, a lease that a sweep ends,
  // the cancel of a job that waits, an expiry; see wait() and job() for those.
  // A job may end, and be heard of here, before the enqueue that made it returns its id.
  void on_finished(Hook hook);
  void on_failed(Hook hook);
  // Hears progress as it is reported by the runs of this engine: for a page that shows a
  // bar move, without asking the store. Called on whichever thread brings the report, for
  // one run in order: be brief, for the run's end waits for it, and so do stop() and
  // drain(). Of more than ten reports a second of a forked child the last is heard.
  void on_progress(ProgressHook hook);

  // Ignites now, to see its errors early. Idempotent.
  [[nodiscard]] Result<void> ignite();

  // Commits the job, then answers with its id.
  [[nodiscard]] Result<JobId> enqueue(std::string_view kind, const Json& args = {},
                                      const EnqueueOptions& options = {});
  // One transaction; the answers align, and one bad request does not fail the others.
  [[nodiscard]] std::vector<Result<JobId>> enqueue(std::span<const Request> requests);
  // The same, and tells which of the jobs are new, and which were there and were
  // replaced.
  [[nodiscard]] Result<Inserted> insert(std::string_view kind, const Json& args = {},
                                        const EnqueueOptions& options = {});
  [[nodiscard]] std::vector<Result<Inserted>> insert(std::span<const Request> requests);
  // Any bytes; the handler reads job.job().payload.
  [[nodiscard]] Result<JobId> enqueue_bytes(std::string_view kind, std::string payload,
                                            const EnqueueOptions& options = {});

  // The job that enqueue would insert: checked, and completed from the configuration.
  // Stores nothing. For those who insert by other ways, as carrel/sql_transaction.h does.
  [[nodiscard]] Result<NewJob> new_job(std::string_view kind, const Json& args = {},
                                       const EnqueueOptions& options = {}) const;
  // Tells workers of jobs that were committed by other ways than enqueue. Call it after
  // the commit; a ticket that comes early or never costs only time, for polling finds the
  // job anyway. In inline mode the jobs run here and now.
  void publish(std::span<const Ticket> tickets);
  void publish(std::span<const Inserted> jobs);  // of those that have a ticket
  void publish(const Inserted& job) { publish(std::span(&job, 1)); }

  // The job's result, when it is final. kTimeout: it is not, after `timeout`. kFailed: it
  // was discarded, with the last attempt's message. kCancelled: the job was; or the
  // caller is a handler whose own job is to stop, which is seen within a beat. kInvalid:
  // it is not final, and the caller is a hook, with a `timeout` above 0, or a handler
  // that holds the job's key. kNotFound: never was, or purged.
  [[nodiscard]] Result<Json> wait(JobId id, Duration timeout);
  [[nodiscard]] Result<JobRecord> job(JobId id);
  // Newest first; see Monitor::list.
  [[nodiscard]] Result<std::vector<JobRecord>> list(const Filter& filter,
                                                    JobId before = {},
                                                    std::size_t limit = 100);

  // A keyed limit for code that is no job: waits, at most `wait`, until fewer than
  // `limit` of `key` run, jobs and other holds alike, wherever in the store they are;
  // runs fn() or fn(std::stop_token) in the caller; frees the place and answers with what
  // fn returned. What fn throws comes through, when the place is free again. The key is
  // taken as it is, not as a template. Needs no start(), and a producer may hold.
  //
  //   auto left = engine.hold("community:7", 1, [&] { return take_credit(7); }, 5s);
  //
  // An error of its own has origin "hold". With kStale fn *has* run, but the place was
  // lost before fn returned, or may have been: another may run beside it, or may have
  // run beside its end; what fn did stands, what it returned is dropped. With any other
  // code fn has *not* run: kTimeout, the place did not come; kCancelled, the engine was
  // stopped, `give_up` was requested or an operator cancelled it; kUnavailable, the store
  // is away; kInvalid; kUnsupported, the store counts no limits.
  //
  // A place is a row with a lease (worker.lease) that is kept while fn runs; see hold.h.
  // fn's token is requested when 80 % of a lease have passed without renewal, when it was
  // lost, or when an operator cancels the row: stop what needs the place. Only fn can end
  // fn. If this process is killed the place comes free when the lease ends; one that
  // it waited for goes to others at once, behind a broker when a lease has ended.
  //
  // Places go in order of arrival among the holds of one engine; among engines and jobs
  // to whoever asks first when one comes free. fn must not hold the same key again, nor a
  // job hold that of its own limit: it would wait for itself. A handler that holds should
  // give its job's stop token as `give_up`. In a forked child there is no engine to ask.
  // A broker with keys asks for the worker's role.
  template <class F>
  [[nodiscard]] HoldResult<F> hold(std::string_view key, std::uint32_t limit, F&& fn,
                                   Duration wait = Duration::max(),
                                   const std::stop_token& give_up = {}) {
    std::optional<HoldResult<F>> value;
    auto held = hold_place(
        key, limit,
        [&](const std::stop_token& lost) {
          if constexpr (std::is_void_v<detail::HeldValue<F>>) {
            detail::call_held(fn, lost);
            value.emplace();
          } else {
            value.emplace(detail::call_held(fn, lost));
          }
        },
        wait, give_up);
    if (!held) return tl::unexpected<Error>(std::move(held.error()));
    return std::move(*value);
  }

  [[nodiscard]] Result<Cancelled> cancel(JobId id);
  [[nodiscard]] Result<void> retry(JobId id);
  [[nodiscard]] Result<void> pause(std::string_view queue);
  [[nodiscard]] Result<void> resume(std::string_view queue);
  [[nodiscard]] Result<Health> health();
  // What this engine knows by itself: what the store or a queue would have to be asked
  // for is left empty. Waits for neither, so it answers also where they are away. In a
  // forked process, what the configuration says.
  [[nodiscard]] Health own_health() const;

  // Starts taking jobs, on threads of the engine. kInvalid: it does already, or drains;
  // it is a producer; or its mode is inline, which runs each job at its enqueue.
  [[nodiscard]] Result<void> start();
  // Takes no more, asks the running to stop, waits up to `grace`, then ends what can be
  // killed; what did not end by itself is released: it runs again, at no cost of an
  // attempt. Nothing is left running in the store. kUnavailable: that was away, and the
  // ends of some jobs could not be stored, which the log names; they run again once their
  // leases are over. It is stopped all the same. Idempotent. Of several at once the
  // shortest grace counts, and each is told of such ends. In a handler or hook of this
  // engine it returns at once: no further job is asked for, run() or drain() end, and
  // where start() was called a thread of the engine does the rest; start() waits for
  // that.
  Result<void> stop(Duration grace);
  // start(), then blocks until stop() is called elsewhere or SIGINT or SIGTERM comes;
  // then stop(worker.grace), and answers what that does. A stop() that comes before run()
  // is called is not remembered. Takes over those two signals, if at their default, while
  // it runs; one ends the run() of every engine. No other call of this library touches
  // the host's signals.
  [[nodiscard]] Result<void> run();
  // Runs all that is due here and now, also what that makes due, and what comes due while
  // jobs run, and returns; or until `stop` is requested or stop() is called: then it
  // takes no more and ends like stop(worker.grace). Not beside start() or another
  // drain(): kInvalid.
  [[nodiscard]] Result<DrainReport> drain(std::stop_token stop = {});

  const Config& config() const noexcept;
  Store&
  store();  // ignited, else kInvalid would have been told: aborts if ignition failed

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  Result<void> add_handler(std::string_view kind, Handler handler);
  Result<void> hold_place(std::string_view key, std::uint32_t limit,
                          const std::function<void(const std::stop_token&)>& run,
                          Duration wait, const std::stop_token& give_up);
  std::unique_ptr<Impl> impl_;
};

}  // namespace carrel
