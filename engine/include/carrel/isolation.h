// Isolation: what one attempt runs inside.
//
// Threads: every call is safe beside every other. Nothing here blocks for long.
#pragma once

#include <carrel/context.h>
#include <carrel/job.h>
#include <carrel/sandbox.h>
#include <carrel/store.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

class Reactor;  // the engine's event loop; only built-in isolations can look inside

// What bounds one attempt. The engine drives the ladder by these: at `wall` a stop
// request, stop_grace later TERM, term_grace later KILL.
struct Limits {
  Duration wall{0};  // 0: no limit
  Duration stop_grace = std::chrono::milliseconds(500);
  Duration term_grace = std::chrono::seconds(2);
  // After the end, how long output that a grandchild still holds open is waited for.
  Duration drain_grace = std::chrono::milliseconds(100);
  std::uint64_t result_bytes = 1 << 20;  // past it the attempt fails for good: kTooLarge
};

// exec: what becomes of what a program writes to stdout.
enum class Output : std::uint8_t {
  kAuto,  // JSON is the result as it stands, anything else a JSON string without its last
          // newline; nothing, or null, is no result
  kText,  // a JSON string of it all, whatever it looks like
};

// What an isolation must know of a kind of job before the first one comes.
struct KindSpec {
  std::string kind;
  Handler handler;  // empty where the isolation runs programs
  Limits limits;
  // fork: how many jobs a child runs before it ends, in turn; above 1, by SCHED_BATCH. It
  // ends earlier once it has grown by more than `recycle_memory` bytes.
  std::uint16_t recycle = 1;
  std::uint64_t recycle_memory = 64ULL << 20;
  std::string key;  // mutex: template over the arguments, "user:{user}"; empty: the kind
  std::vector<std::string> command;        // exec: argv
  std::map<std::string, std::string> env;  // exec: added to the environment
  std::vector<std::string> pass_env;       // exec: names passed on from the host's
  std::string cwd;                         // exec: empty: the host's, or the sandbox's
  Output output = Output::kAuto;           // exec
  Duration kept = Retention().completed;   // Context::kept()
  std::optional<SandboxProfile> sandbox;   // exec: empty: none
  Json settings;  // what a plugin's isolation reads; the config's table as it stands
};

struct IsolationTraits {
  bool contains_crash = false;  // a crash of the job harms nothing but its attempt
  bool can_kill = false;        // kill() ends the run, whatever it does
  bool runs_handlers = false;
  bool runs_programs = false;
  // A task may wait inside after start() (for a thread, for a key); then sink->on_start()
  // tells when it begins. Where this is false, a run has begun when start() returns.
  bool queues = false;
};

struct Outcome {
  OutcomeClass klass = OutcomeClass::kOk;
  std::string result;  // of kOk
  Error error;         // otherwise
  int exit_code = 0;
  int signal = 0;
  Usage usage;
  std::string stderr_tail;  // at most 4 KiB
  // exec in a sandbox: what was enforced, "namespaces", "seccomp", …
  std::shared_ptr<const std::vector<std::string>> enforced;
  bool leftover_killed = false;  // it left processes behind
};

// Hears of one run. The calls come from any thread, never two at once, on_end last.
class RunSink {
 public:
  virtual ~RunSink() = default;
  virtual void on_start() noexcept {
  }  // see IsolationTraits::queues; time counts from here
  virtual void on_progress(float fraction, std::string_view message) noexcept = 0;
  virtual void on_checkpoint(std::string_view bytes) noexcept = 0;
  virtual void on_log(std::string_view line) noexcept = 0;
  // A hint, before on_end: the ends of other runs follow from this thread at once, so
  // that this one may be stored together with them.
  virtual void expect_more_ends() noexcept {}
  virtual void on_end(Outcome outcome) noexcept = 0;
};

// Why a run is asked to stop; it colours the class of an outcome that follows.
enum class StopReason : std::uint8_t { kCancel, kTimeout, kShutdown };

// A handle on one run. Every call is idempotent, and does nothing after the end.
class Run {
 public:
  virtual ~Run() = default;
  virtual void request_stop(
      StopReason reason) noexcept = 0;  // the polite way: the stop token
  virtual bool
  terminate() noexcept = 0;          // SIGTERM to the whole group; false where it cannot
  virtual bool kill() noexcept = 0;  // SIGKILL likewise
  // The engine waits no longer for a run that cannot be killed. on_end will not be heard
  // any more; the isolation makes up for the thread that it lost, within a bound. For how
  // long it has run; 0: it does not say.
  virtual Duration abandon() noexcept = 0;
};

struct Task {
  std::shared_ptr<const Claimed> job;  // lives as long as anybody holds it
  Limits limits;
  std::shared_ptr<RunSink> sink;
};

class Isolation {
 public:
  virtual ~Isolation() = default;  // every run has ended or was abandoned
  virtual IsolationTraits traits() const noexcept = 0;
  // Starts each task; the answers align. Does not wait for any. Where an answer is a
  // value, exactly one sink->on_end follows, on any thread, perhaps before this returns;
  // where it is an error, none does. A run that ends as snoozed and has not begun is
  // given back to the store: at no cost, for error.retry_in. Tasks are moved from.
  virtual std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) = 0;
  // Abandoned threads that are still busy; 0 where runs can be killed.
  virtual std::size_t stuck() const noexcept { return 0; }
  // It can begin no run until one of those is free: what waits inside, and what still
  // comes, ends as snoozed, and the engine takes no jobs of its kinds meanwhile.
  virtual bool exhausted() const noexcept { return false; }
  // Called with every beat while runs of it have leases, or it is exhausted: for what
  // could not be had before, such as a thread. Does not block.
  virtual void tend() noexcept {}
};

// What the engine hands to an isolation's factory.
struct IsolationSetup {
  std::span<const KindSpec>
      kinds;                    // those that named this isolation; borrowed for the call
  std::size_t concurrency = 1;  // at most this many runs at once
  std::size_t warm = 0;         // fork: idle children that wait for a job
  Reactor* reactor = nullptr;   // outlives the isolation
  LogFn log = [](LogLevel, std::string_view) {};
};

}  // namespace carrel
