#include "config_schema.h"

namespace carrel::config {
namespace {

template <class Root, auto... Path>
auto& at(Root& root) {
  return (root.*....*Path);
}

constexpr double us(Duration d) { return static_cast<double>(d.count()); }
constexpr Bounds kSpan{0, us(kLongest)};  // zero means something
constexpr Bounds kInterval{us(std::chrono::milliseconds(1)),
                           us(kLongest)};  // zero would spin
constexpr Bounds kCount{0, 1'000'000};
constexpr Bounds kAnyInt16{-32'768, 32'767};

const EngineKey kEngineKeys[] = {
    {"store", &at<Config, &Config::store>,
     "URL of the store, where the record of every job is kept: `memory:`, "
     "`sqlite:jobs.db`, `postgresql://user@host/db`, `mysql://user@host/db`, "
     "`zmq+tcp://host:port`."},
    {"queue", &at<Config, &Config::queue>,
     "URL of the queue, where jobs wait. Empty, or the same as `store`: the store is its "
     "own queue."},
    {"role", &at<Config, &Config::role>,
     "A producer only enqueues: it has no worker threads and no process server."},
    {"mode", &at<Config, &Config::mode>,
     "`inline` is for tests: enqueue runs the job in the caller before it returns; "
     "handlers then run in the host's process, whatever their isolation, and have no "
     "time limit: nothing stops them, nor keeps those of `mutex` apart that several "
     "threads enqueue. What `retry` and `resume` make available runs likewise, what a "
     "hold has kept waiting does with `drain`. What a handler enqueues runs within it, "
     "32 deep at the most: what is enqueued there runs once that handler has ended. "
     "Preloads run once, hooks of forked children do not. `start` and `run` are "
     "refused."},
    {"strict_kinds", &at<Config, &Config::strict_kinds>,
     "Refuse to enqueue a kind that is neither handled nor configured here."},
    {"plugins", &at<Config, &Config::plugins>,
     "Shared libraries to load, which add backends or isolations. Relative to this "
     "file."},

    {"worker.concurrency",
     &at<Config, &Config::worker, &WorkerConfig::concurrency>,
     "Jobs that run at once; 0: one a processor.",
     {0, 100'000}},
    {"worker.queues", &at<Config, &Config::worker, &WorkerConfig::queues>,
     "Take jobs from these queues only; empty: from all."},
    {"worker.order", &at<Config, &Config::worker, &WorkerConfig::order>,
     "Which of these queues goes first. `mixed`: none, the best job of all; `strict`: as "
     "they are listed, none of a later one while an earlier has a job; `weighted`: each "
     "claim draws an order anew, by the weights in `[queues.NAME]`."},
    {"worker.prefetch", &at<Config, &Config::worker, &WorkerConfig::prefetch>,
     "Jobs claimed beyond the free slots, for very short jobs.", kCount},
    {"worker.warm",
     &at<Config, &Config::worker, &WorkerConfig::warm>,
     "Isolation `fork`: idle children that are kept, so that a job need not wait for "
     "one; "
     "0: none.",
     {0, 10'000}},
    {"worker.lease", &at<Config, &Config::worker, &WorkerConfig::lease>,
     "How long a claimed job is this worker's without a sign of life; then another may "
     "run it. Renewed every third of it.",
     kInterval},
    {"worker.beat", &at<Config, &Config::worker, &WorkerConfig::beat>,
     "Within this time progress goes out and cancels come in. At most half of "
     "`worker.lease`.",
     kInterval},
    {"worker.poll", &at<Config, &Config::worker, &WorkerConfig::poll>,
     "Look for what other processes enqueued at least this often.", kInterval},
    {"worker.grace", &at<Config, &Config::worker, &WorkerConfig::grace>,
     "How long a stop waits for running jobs before it ends them. They are asked to "
     "stop at once: a handler by its token, a program by SIGTERM.",
     kSpan},

    {"retention.completed", &at<Config, &Config::retention, &Retention::completed>,
     "How long a completed job is kept; `0s`: not at all.", kSpan},
    {"retention.cancelled", &at<Config, &Config::retention, &Retention::cancelled>,
     "The same for a cancelled job.", kSpan},
    {"retention.discarded", &at<Config, &Config::retention, &Retention::discarded>,
     "The same for a discarded job.", kSpan},
    {"retention.max_rows",
     &at<Config, &Config::retention, &Retention::max_rows>,
     "Keep about this many ended jobs, the oldest go first; 0: no bound (in memory: "
     "10,000).",
     {0, 1e15}},

    {"log.level", &at<Config, &Config::log, &LogConfig::level>,
     "The least important lines that the library logs."},
};

const KindKey kKindKeys[] = {
    {"isolation", &at<KindConfig, &KindConfig::isolation>,
     "What a job runs inside: `thread`, `mutex`, `fork`, `exec`, or one from a plugin."},
    {"queue", &at<KindConfig, &KindConfig::queue>,
     "Where it is enqueued unless said otherwise."},
    {"priority", &at<KindConfig, &KindConfig::priority>, "Lower runs first.", kAnyInt16},
    {"max_attempts",
     &at<KindConfig, &KindConfig::max_attempts>,
     "Attempts before the job is discarded.",
     {1, 65'535}},
    {"timeout", &at<KindConfig, &KindConfig::timeout>, "Of one attempt; `0s`: no limit.",
     kSpan},
    {"start_within", &at<KindConfig, &KindConfig::start_within>,
     "Discard a job that has not started this long after it fell due; `0s`: never.",
     kSpan},

    {"retry.base", &at<KindConfig, &KindConfig::retry, &RetryPolicy::base>,
     "After attempt n a job waits for base · n^power, at most `retry.cap`.", kSpan},
    {"retry.power",
     &at<KindConfig, &KindConfig::retry, &RetryPolicy::power>,
     "How fast that grows; 0: not at all, 1: linear.",
     {0, 16}},
    {"retry.cap", &at<KindConfig, &KindConfig::retry, &RetryPolicy::cap>,
     "The longest wait, before jitter.", kSpan},
    {"retry.jitter",
     &at<KindConfig, &KindConfig::retry, &RetryPolicy::jitter>,
     "Spread of the wait: 0.1 is ± 10 %.",
     {0, 1}},
    {"retry.max_crashes",
     &at<KindConfig, &KindConfig::retry, &RetryPolicy::max_crashes>,
     "Discard a job that crashed its own child this often; 0: never.",
     {0, 65'535}},

    {"concurrency.limit",
     &at<KindConfig, &KindConfig::concurrency, &ConcurrencyConfig::limit>,
     "At most this many jobs of one key run at once, in all workers of the store "
     "together; 0: no limit.",
     kCount},
    {"concurrency.key",
     &at<KindConfig, &KindConfig::concurrency, &ConcurrencyConfig::key>,
     "What they share: a template over the arguments, `community:{community}`; empty: "
     "the kind."},

    {"rate.starts", &at<KindConfig, &KindConfig::rate, &RateConfig::starts>,
     "At most this many attempts of one key begin within any `rate.period`, in all "
     "workers of the store together; 0: no rate.",
     kCount},
    {"rate.period",
     &at<KindConfig, &KindConfig::rate, &RateConfig::period>,
     "How long the window is, which slides; up to 31 days.",
     {1, us(std::chrono::hours(24 * 31))}},
    {"rate.key", &at<KindConfig, &KindConfig::rate, &RateConfig::key>,
     "What they share: a template over the arguments, `user:{user}`; empty: the kind."},

    {"unique.fields", &at<KindConfig, &KindConfig::unique, &UniqueConfig::fields>,
     "What makes two jobs of the kind the same, so that the second is not enqueued: "
     "`args`, `args.user` (a field of the arguments), `queue`; `kind`: nothing else. "
     "Empty: jobs are not unique."},
    {"unique.period", &at<KindConfig, &KindConfig::unique, &UniqueConfig::period>,
     "For how long after its enqueue the first one counts; `0s`: as long as it is kept.",
     kSpan},
    {"unique.states", &at<KindConfig, &KindConfig::unique, &UniqueConfig::states>,
     "In which states the first one counts. Empty: those that are not final, and with a "
     "period also `completed`."},
    {"unique.on_conflict",
     &at<KindConfig, &KindConfig::unique, &UniqueConfig::on_conflict>,
     "`skip`: the first one is the answer; `replace`: it gets the arguments and schedule "
     "of the second, if it waits; `replace_keep_time`: only the arguments."},

    {"stop_grace", &at<KindConfig, &KindConfig::stop_grace>,
     "After a stop request, how long until SIGTERM.", kSpan},
    {"term_grace", &at<KindConfig, &KindConfig::term_grace>,
     "After SIGTERM, how long until SIGKILL.", kSpan},
    {"drain_grace", &at<KindConfig, &KindConfig::drain_grace>,
     "After the end of a program, how long output that a grandchild holds open is waited "
     "for. In a sandbox what it left is ended at once.",
     kSpan},
    {"result_limit",
     &at<KindConfig, &KindConfig::result_limit>,
     "A result larger than this fails the job for good.",
     {1, 1 << 30},
     true},

    {"recycle",
     &at<KindConfig, &KindConfig::recycle>,
     "Isolation `fork`: how many jobs of this kind one child runs, one after the other. "
     "Above 1, a job finds what the ones before it left in memory.",
     {1, 65'535}},
    {"recycle_memory",
     &at<KindConfig, &KindConfig::recycle_memory>,
     "Isolation `fork`: a child that has grown by more than this is not used again.",
     {0, 1e15},
     true},

    {"key", &at<KindConfig, &KindConfig::key>,
     "Isolation `mutex`: jobs of one key run one at a time. A template over the "
     "arguments: `user:{user}`; empty: the kind. A handler that waits for a job of the "
     "key it holds is refused."},
    {"command", &at<KindConfig, &KindConfig::command>,
     "Isolation `exec`: the program and its arguments, as they stand: a relative "
     "path is one of `cwd`."},
    {"env", &at<KindConfig, &KindConfig::env>,
     "Isolation `exec`: variables added to the program's environment; those called "
     "`CARREL_JOB_…` it has anyway."},
    {"pass_env", &at<KindConfig, &KindConfig::pass_env>,
     "Isolation `exec`: names of the host's variables that the program sees."},
    {"cwd", &at<KindConfig, &KindConfig::cwd>,
     "Isolation `exec`: its working directory, relative to this file; empty: the "
     "host's. In a sandbox: a folder there; empty: its own."},
    {"output", &at<KindConfig, &KindConfig::output>,
     "Isolation `exec`: what becomes of its standard output. `auto`: JSON is the result "
     "as "
     "it stands, other text a string without its last newline; `text`: a string of it "
     "all."},
    {"sandbox", &at<KindConfig, &KindConfig::sandbox>,
     "Isolation `exec`: what the program runs inside: `none`, `restricted`, `standard`, "
     "`full`, or the name of a `[sandbox.NAME]`."},
    {"settings", &at<KindConfig, &KindConfig::settings>,
     "A table for an isolation from a plugin, handed on as it stands."},
};

const QueueKey kQueueKeys[] = {
    {"weight",
     &at<QueueConfig, &QueueConfig::weight>,
     "With `worker.order = \"weighted\"`: how often it goes before the others, in "
     "proportion to their weights.",
     {1, 1000}},
    {"concurrency", &at<QueueConfig, &QueueConfig::concurrency>,
     "At most this many jobs of it at once in this process, those claimed ahead "
     "included; 0: no bound.",
     kCount},
    {"limit", &at<QueueConfig, &QueueConfig::limit>,
     "At most this many jobs of it run at once, in all workers of the store together; "
     "0: no bound. Give all of them the same.",
     kCount},
};

constexpr Bounds kBytes{0, 1ULL << 50};

const SandboxKey kSandboxKeys[] = {
    {"tier", &at<SandboxProfile, &SandboxProfile::tier>,
     "What surrounds the program; each has all that the one before it has."},
    {"allow_missing", &at<SandboxProfile, &SandboxProfile::allow_missing>,
     "What this machine may lack: `proc`, `landlock`, `cgroup`, `memory_cgroup`, "
     "`pids_cgroup`, `cpu_cgroup`. Anything else that is missing is an error at start."},
    {"cpu_time", &at<SandboxProfile, &SandboxProfile::cpu_time>,
     "CPU time of each process, and of all together; in whole seconds, "
     "rounded up; `0s`: no limit.",
     kSpan},
    {"address_space", &at<SandboxProfile, &SandboxProfile::address_space>,
     "Of each process; 0: no limit, else at least 4MiB.", kBytes, true},
    {"memory", &at<SandboxProfile, &SandboxProfile::memory>,
     "Tier `full`: of all its processes and files together; 0: no limit.", kBytes, true},
    {"stack", &at<SandboxProfile, &SandboxProfile::stack>,
     "Of each process's first thread; 0: no limit, else at least 64KiB.", kBytes, true},
    {"nproc", &at<SandboxProfile, &SandboxProfile::nproc>,
     "Processes and threads at once; 0: no limit.", kCount},
    {"open_files", &at<SandboxProfile, &SandboxProfile::open_files>,
     "Descriptors of each process, at least 8; half of what its host may open at the "
     "most, which is also what 0 says.",
     kCount},
    {"fsize", &at<SandboxProfile, &SandboxProfile::fsize>,
     "Of each file that it writes; 0: no limit.", kBytes, true},
    {"stderr_limit", &at<SandboxProfile, &SandboxProfile::stderr_limit>,
     "What it may write to stderr and descriptor 3 before it is killed; 0: no limit. For "
     "stdout there is `result_limit`.",
     kBytes, true},
    {"tmpfs_size", &at<SandboxProfile, &SandboxProfile::tmpfs_size>,
     "Tier `standard` and up: of its `/tmp`, in memory, with its working folder; 0: half "
     "of the memory.",
     kBytes, true},
    {"tmpfs_files", &at<SandboxProfile, &SandboxProfile::tmpfs_files>,
     "Likewise: files and folders in there; 0: as many as the kernel likes.", kCount},
    {"cpus",
     &at<SandboxProfile, &SandboxProfile::cpus>,
     "Tier `full`: processors' worth of time; 0: no limit.",
     {0, 10'000}},
    {"mounts", &at<SandboxProfile, &SandboxProfile::mounts>,
     "Files and folders of the host that it sees beside `/usr`: `src`, relative to this "
     "file, `dst` (as `src` if left out, which is then a whole path; in tier "
     "`restricted` always) and `ro` (true if left out)."},
    {"network", &at<SandboxProfile, &SandboxProfile::network>,
     "`host`: it can reach what the host can."},
    {"seccomp", &at<SandboxProfile, &SandboxProfile::seccomp>,
     "Which system calls are refused; see isolation/README.md."},
    {"landlock", &at<SandboxProfile, &SandboxProfile::landlock>,
     "Bounds files, TCP and signals a second time; in `restricted` it is what bounds "
     "files at all, and cannot be switched off."},
    {"cgroup_parent", &at<SandboxProfile, &SandboxProfile::cgroup_parent>,
     "Tier `full`: a folder of cgroup v2 that is delegated to this user; empty: the "
     "host's own group."},
    {"user",
     &at<SandboxProfile, &SandboxProfile::user>,
     "The user that a host which is root gives its programs.",
     {1, 4294967294}},
    {"warm",
     &at<SandboxProfile, &SandboxProfile::warm>,
     "Sandboxes made ahead of jobs; half as many while some run.",
     {0, 10'000}},
    {"files_in", &at<SandboxProfile, &SandboxProfile::files_in>,
     "A member of the arguments, `{\"name\": \"text\" or {\"base64\": …}}`: files that "
     "are "
     "in its folder when it starts; empty: none."},
    {"files_out", &at<SandboxProfile, &SandboxProfile::files_out>,
     "Files of its folder that its result takes along: it is then `{\"output\": …, "
     "\"files\": {…}}`."},
};

}  // namespace

std::span<const EngineKey> engine_keys() { return kEngineKeys; }
std::span<const KindKey> kind_keys() { return kKindKeys; }
std::span<const QueueKey> queue_keys() { return kQueueKeys; }

std::span<const SandboxKey> sandbox_keys() { return kSandboxKeys; }

std::string variable_name(std::string_view key) {
  std::string name = "CARREL_";
  for (char c : key) {
    name.push_back(c == '.'               ? '_'
                   : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A')
                                          : c);
  }
  return name;
}

}  // namespace carrel::config
