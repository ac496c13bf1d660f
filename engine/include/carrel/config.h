// The configuration of an engine: typed, validated, from TOML, the environment, or code.
//
// The TOML keys are the member names below, in the tables that the comments name; every
// duration there is a string with a unit ("500ms", "30s", "5m", "24h", "7d"), every size
// a number of bytes or a string ("64KiB", "1MiB"). engine/CONFIG.md lists them all.
#pragma once

#include <carrel/isolation.h>
#include <carrel/retry.h>
#include <carrel/store.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

// How many jobs of one key may run at once, in all workers of the store together.
struct ConcurrencyConfig {
  std::string key;          // a template, "community:{community}"; empty: the kind
  std::uint32_t limit = 0;  // 0: no limit
};

// How many attempts of one key may begin within a period, in all workers of the store.
struct RateConfig {
  std::string key;           // a template, "user:{user}"; empty: the kind
  std::uint32_t starts = 0;  // 0: no rate
  Duration period = std::chrono::seconds(1);
};

// What makes two jobs of a kind the same, so that the second is not enqueued; see Unique.
struct UniqueConfig {
  // Beside the kind: "args", "args.user", "args.user.id", "queue"; "kind": nothing else.
  // Empty: jobs are not unique.
  std::vector<std::string> fields;
  Duration period{0};  // 0: as long as the first is kept
  // Of the first. Empty: those that are not final, and with a period also completed.
  std::vector<State> states;
  OnConflict on_conflict = OnConflict::kSkip;  // "skip" "replace" "replace_keep_time"
};

// What holds for one kind of job: [jobs.NAME]; for all others: [defaults].
struct KindConfig {
  std::string isolation = "thread";
  std::string queue = "default";  // where it is enqueued unless said otherwise
  std::int16_t priority = 0;
  std::uint16_t max_attempts = 25;
  Duration timeout{0};            // of one attempt; 0: no limit
  Duration start_within{0};       // 0: never expires
  RetryPolicy retry;              // retry = { base, power, cap, jitter, max_crashes }
  ConcurrencyConfig concurrency;  // concurrency = { key, limit }
  RateConfig rate;                // rate = { key, starts, period }
  UniqueConfig unique;            // unique = { fields, period, states, on_conflict }
  // Steps of the ladder, and bounds; see Limits.
  Duration stop_grace = Limits{}.stop_grace;
  Duration term_grace = Limits{}.term_grace;
  Duration drain_grace = Limits{}.drain_grace;
  std::uint64_t result_limit = Limits{}.result_bytes;
  std::uint16_t recycle = KindSpec{}.recycle;  // isolation "fork": jobs of one child
  std::uint64_t recycle_memory = KindSpec{}.recycle_memory;
  std::string key;                   // isolation "mutex": "user:{user}"; empty: the kind
  std::vector<std::string> command;  // isolation "exec": argv
  std::map<std::string, std::string> env;
  std::vector<std::string> pass_env = {"PATH", "HOME", "LANG", "TMPDIR"};
  std::string cwd;
  Output output = Output::kAuto;  // isolation "exec": "auto" "text"
  std::string sandbox =
      "none";  // exec: "none" "restricted" "standard" "full", [sandbox.NAME]
  Json settings = Json::object();  // [jobs.NAME.settings], for an isolation from a plugin

  Limits limits() const;
};

enum class Role : std::uint8_t {
  kWorker,    // enqueues and runs
  kProducer,  // only enqueues: no worker threads, no process server
};
enum class Mode : std::uint8_t {
  kNormal,
  kInline,  // for tests: enqueue runs the job in the caller before it returns
};

// In which order a worker takes jobs of different queues. Within one queue, always by
// priority, then by age.
enum class QueueOrder : std::uint8_t {
  kMixed,   // by priority, then by age, whatever their queue
  kStrict,  // as `worker.queues` names them: none of a later one while an earlier has any
  kWeighted,  // each claim prefers a queue by chance, in proportion to its weight
};

// What holds for one queue: [queues.NAME].
struct QueueConfig {
  std::uint32_t weight = 1;       // with order "weighted"
  std::uint32_t concurrency = 0;  // jobs of it at once in this process; 0: no bound
  std::uint32_t limit = 0;        // in all workers of the store together; 0: no bound
};

struct WorkerConfig {                     // [worker]
  std::size_t concurrency = 0;            // jobs at once; 0: one a processor
  std::vector<std::string> queues;        // take only from these; empty: from all
  QueueOrder order = QueueOrder::kMixed;  // "mixed" "strict" "weighted"
  std::size_t prefetch = 0;  // claimed beyond the free slots, for very short jobs
  std::size_t warm = 4;      // idle children that wait for a job of isolation "fork"
  Duration lease = std::chrono::seconds(30);
  Duration beat = std::chrono::milliseconds(500);  // progress out, cancels in
  Duration poll = std::chrono::seconds(1);    // look for others' work at least this often
  Duration grace = std::chrono::seconds(30);  // of run(): how long a stop waits for jobs
};

struct LogConfig {                   // [log]
  LogLevel level = LogLevel::kInfo;  // "debug" "info" "warn" "error" "off"
};

struct Config {
  std::string store = "memory:";
  std::string queue;          // empty, or the same as store: the store is its own queue
  Role role = Role::kWorker;  // "worker" "producer"
  Mode mode = Mode::kNormal;  // "normal" "inline"
  bool strict_kinds =
      false;  // refuse to enqueue kinds that are not handled or configured here
  std::vector<std::string> plugins;  // shared libraries to load, relative to the file
  WorkerConfig worker;
  Retention retention;  // [retention]
  LogConfig log;
  KindConfig defaults;
  std::map<std::string, KindConfig> jobs;
  std::map<std::string, QueueConfig> queues;        // [queues.NAME]
  std::map<std::string, SandboxProfile> sandboxes;  // [sandbox.NAME]
  std::filesystem::path directory;  // relative plugin, sqlite and cwd paths start here
  // Where a key was set: "worker.lease" → "carrel.toml:12:3", or the variable's name. For
  // messages, and to tell what was said from what is a default; a Config made by code has
  // none.
  std::map<std::string, std::string> places;

  const KindConfig& kind(std::string_view name) const;  // jobs[name], or defaults
  // The profile of that name: of `sandboxes`, or one of the tiers with its defaults.
  std::optional<SandboxProfile> sandbox(std::string_view name) const;
  // "carrel.toml:12:3: worker.lease: ", as messages begin; "worker.lease: " where the
  // place is not known. A key of a kind is "defaults.timeout" or "jobs.NAME.timeout".
  std::string where(std::string_view key) const;

  // Errors are kInvalid and read "carrel.toml:12:3: worker.lease: expected a duration
  // such as "30s", got 30"; kNotFound: no such file. Neither looks at the environment,
  // and both have validated what they answer with. What [jobs.NAME] leaves out comes from
  // [defaults]; but command, key and settings belong to an isolation, and are not taken
  // from there by a kind that names another.
  static Result<Config> parse(std::string_view toml, std::string_view source_name);
  static Result<Config> load(const std::filesystem::path& file);
  // load(), then apply_environment(), as Engine::open(file) does: validated once, after
  // both. A file may hold only together with its variables.
  static Result<Config> load_with_environment(const std::filesystem::path& file);

  // CARREL_STORE, CARREL_QUEUE, CARREL_ROLE, CARREL_LOG_LEVEL, CARREL_WORKER_LEASE, …:
  // every scalar key outside [jobs] and the tables in [defaults], table and key joined by
  // '_', in capitals. Refused with the right name: one of a table that has no such key,
  // or a near miss. Other CARREL_ names are left alone: programs and jobs have some of
  // their own. A default so set reaches the jobs of the file that do not say otherwise.
  // Validates.
  Result<void> apply_environment();

  // Every combination that cannot hold, whatever made the Config.
  Result<void> validate() const;
};

// "1.5s", "250ms", "2m", "36h", "7d"; what to_text prints, parse reads.
Result<Duration> parse_duration(std::string_view text);
std::string to_text(Duration duration);

}  // namespace carrel
