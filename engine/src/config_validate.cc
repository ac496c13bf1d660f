// Combinations that cannot hold, as far as a Config alone can tell.
#include <carrel/config.h>
#include <carrel/registry.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "config_schema.h"
#include "files_out.h"
#include "key_template.h"
#include "unique_key.h"
#include "wording.h"

namespace carrel {
namespace {

// Of a sandbox, for the loader of a program that does nothing.
constexpr std::uint64_t kLeastFiles = 8;
constexpr std::uint64_t kLeastSpace = 4U << 20;
constexpr std::uint64_t kLeastStack = 64U << 10;
constexpr const char* kOurs = ": the names CARREL_JOB_… are given to each job anew";

class Validator {
 public:
  explicit Validator(const Config& config) : config_(config) {}

  Result<void> run() {
    urls();
    bounds(config::engine_keys(), config_, "");
    engine();
    kind("defaults", config_.defaults);
    for (const auto& [name, job] : config_.jobs) {
      const std::string table = "jobs." + name;
      if (const auto why = why_no_name(name)) refuse(table, "the name of a kind " + *why);
      kind(table, job);
    }
    for (const auto& [name, queue_config] : config_.queues) queue(name, queue_config);
    for (const auto& [name, profile] : config_.sandboxes) {
      const std::string table = "sandbox." + name;
      if (const auto why = why_no_name(name))
        refuse(table, "the name of a sandbox " + *why);
      sandbox(table + ".", profile);
    }
    if (error_) return tl::unexpected<Error>(*error_);
    return {};
  }

 private:
  // What is wrong, as told of one key.
  struct Complaint {
    std::string key;
    std::string why;
  };
  // Two keys that do not go together: told of the first that somebody has set.
  void refuse_either(const Complaint& one, const Complaint& other) {
    const bool is_other = !said(one.key) && said(other.key);
    const Complaint& told = is_other ? other : one;
    refuse(told.key, told.why);
  }
  void refuse(std::string_view key, std::string_view why) {
    if (error_) return;
    std::string message = config_.where(key);
    error_ = Error{Code::kInvalid, message.append(why), "config", 0, {}};
  }

  bool said(const std::string& key) const { return config_.places.contains(key); }

  // A kind of the file that leaves `key` to the defaults, and says `other` itself.
  bool inherits(const std::string& prefix, const char* key, const char* other) const {
    return prefix != "defaults." && said(prefix + other) && !said(prefix + key);
  }

  void urls() {
    if (auto url = Url::parse(config_.store); !url) refuse("store", url.error().message);
    if (config_.queue.empty()) return;
    if (auto url = Url::parse(config_.queue); !url) refuse("queue", url.error().message);
  }

  // What the readers of files and variables refuse by the key list, code could still set.
  template <class Root>
  void bounds(std::span<const config::Key<Root>> keys, const Root& root,
              const std::string& prefix) {
    for (const auto& key : keys) {
      if (auto ok = config::check(key, root); !ok) {
        refuse(prefix + std::string(key.name), ok.error().message);
      }
    }
  }

  void engine() {
    const WorkerConfig& worker = config_.worker;
    if (worker.lease < 2 * worker.beat) {
      const std::string because = ": a lease of " + to_text(worker.lease) +
                                  " with a beat of " + to_text(worker.beat) +
                                  " would end between two beats";
      refuse_either({"worker.lease", "must be at least twice worker.beat" + because},
                    {"worker.beat", "must be at most half of worker.lease" + because});
    }
    if (config_.mode == Mode::kInline && config_.role == Role::kProducer) {
      refuse_either({"mode",
                     "\"inline\" runs jobs in the caller, which role = \"producer\" "
                     "rules out"},
                    {"role", "\"producer\" runs no jobs, which mode = \"inline\" does"});
    }
    // A file made for workers may serve a producer too, by CARREL_ROLE; one that is for a
    // producer itself contradicts itself.
    if (config_.role == Role::kProducer &&
        !config_.where("role").starts_with("CARREL_")) {
      if (worker.prefetch > 0) {
        refuse("worker.prefetch", "role = \"producer\" takes no jobs: leave it at 0");
      }
      if (!worker.queues.empty()) {
        refuse("worker.queues", "role = \"producer\" takes no jobs: leave it out");
      }
      if (worker.order != QueueOrder::kMixed) {
        refuse("worker.order", "role = \"producer\" takes no jobs: leave it out");
      }
    }
    if (worker.order != QueueOrder::kMixed && worker.queues.empty()) {
      refuse("worker.order", "needs worker.queues: the queues that it puts in order");
    }
    std::set<std::string> seen;
    for (const std::string& queue : worker.queues) {
      if (const auto why = why_no_name(queue)) {
        refuse("worker.queues", "the name of a queue " + *why);
      }
      if (!seen.insert(queue).second) {
        refuse("worker.queues", quote(queue) + " is listed twice");
      }
    }
    for (const std::string& plugin : config_.plugins) {
      if (plugin.empty()) refuse("plugins", "the path of a plugin is empty");
    }
  }

  void queue(const std::string& name, const QueueConfig& queue) {
    const std::string prefix = "queues." + name + ".";
    if (const auto why = why_no_name(name)) {
      refuse("queues." + name, "the name of a queue " + *why);
    }
    bounds(config::queue_keys(), queue, prefix);
    const WorkerConfig& worker = config_.worker;
    // One file may serve several kinds of worker, by CARREL_WORKER_ORDER, and who looks
    // at a worker's queues with a role of its own.
    if (queue.weight != 1 && config_.role == Role::kWorker &&
        worker.order != QueueOrder::kWeighted &&
        !config_.where("worker.order").starts_with("CARREL_")) {
      refuse(prefix + "weight", "needs worker.order = \"weighted\"");
    }
    // A limit holds for all workers of the store, this one may be one of the others.
    const auto& taken = worker.queues;
    if (taken.empty() || std::find(taken.begin(), taken.end(), name) != taken.end()) {
      return;
    }
    const std::string why =
        "worker.queues does not name " + quote(name) + did_you_mean(name, taken);
    if (queue.weight != 1) refuse(prefix + "weight", why);
    if (queue.concurrency > 0) refuse(prefix + "concurrency", why);
  }

  void kind(const std::string& table, const KindConfig& kind) {
    const std::string prefix = table + ".";
    bounds(config::kind_keys(), kind, prefix);
    if (kind.isolation.empty()) refuse(prefix + "isolation", "is empty");
    if (const auto why = why_no_name(kind.queue)) {
      refuse(prefix + "queue", "the name of a queue " + *why);
    }
    if (kind.retry.cap < kind.retry.base) {
      const std::string base = to_text(kind.retry.base);
      const std::string cap = to_text(kind.retry.cap);
      refuse_either(
          {prefix + "retry.cap", cap + " is less than retry.base (" + base + ")"},
          {prefix + "retry.base", base + " is more than retry.cap (" + cap + ")"});
    }
    if (!kind.concurrency.key.empty()) {
      if (auto key = KeyTemplate::parse(kind.concurrency.key); !key) {
        refuse(prefix + "concurrency.key", key.error().message);
      }
      if (kind.concurrency.limit == 0 &&
          !inherits(prefix, "concurrency.key", "concurrency.limit")) {
        refuse(prefix + "concurrency.key",
               "needs concurrency.limit: how many jobs of one key may run at once");
      }
    }
    if (kind.isolation == "mutex" && !kind.key.empty()) {
      if (auto key = KeyTemplate::parse(kind.key); !key) {
        refuse(prefix + "key", key.error().message);
      }
    }
    rate(prefix, kind.rate);
    unique(prefix, kind.unique);
    isolation(table, kind);
    program(prefix, kind);
  }

  void rate(const std::string& prefix, const RateConfig& rate) {
    if (auto key = KeyTemplate::parse(rate.key); !rate.key.empty() && !key) {
      refuse(prefix + "rate.key", key.error().message);
    }
    if (rate.starts > 0) return;
    const char* const missing = "needs rate.starts: how many may begin within the period";
    const auto needs_starts = [&](const char* key) {
      if (!inherits(prefix, key, "rate.starts")) refuse(prefix + key, missing);
    };
    if (!rate.key.empty()) needs_starts("rate.key");
    if (rate.period != RateConfig{}.period) needs_starts("rate.period");
  }

  void unique(const std::string& prefix, const UniqueConfig& unique) {
    if (auto ok = check_unique_fields(unique.fields); !ok) {
      refuse(prefix + "unique.fields", ok.error().message);
    }
    if (!unique.fields.empty()) return;
    const auto needs_fields = [&](const char* key) {
      if (inherits(prefix, key, "unique.fields")) return;
      refuse(prefix + key,
             "needs unique.fields: what makes two jobs the same, such as [\"args\"]");
    };
    if (unique.period != Duration::zero()) needs_fields("unique.period");
    if (!unique.states.empty()) needs_fields("unique.states");
    if (unique.on_conflict != OnConflict::kSkip) needs_fields("unique.on_conflict");
  }

  // Knows the built-in isolations only; check_against() asks the registry about the rest.
  void isolation(const std::string& table, const KindConfig& kind) {
    const std::string prefix = table + ".";
    const bool runs_handlers = kind.isolation == "thread" || kind.isolation == "mutex" ||
                               kind.isolation == "fork";
    const bool builtin = runs_handlers || kind.isolation == "exec";
    const std::string named = "isolation " + quote(kind.isolation);
    if (builtin && kind.isolation != "mutex" && !kind.key.empty()) {
      refuse(prefix + "key", "only isolation \"mutex\" has a key; this is " + named);
    }
    if (runs_handlers && !kind.command.empty()) {
      refuse(prefix + "command",
             named + " runs a handler, no program: did you mean isolation = \"exec\"?");
    }
    if (builtin && kind.isolation != "fork" && table != "defaults") {
      for (const char* key : {"recycle", "recycle_memory"}) {
        if (said(prefix + key)) {
          refuse(prefix + key,
                 "is about the children of isolation \"fork\"; this is " + named);
        }
      }
    }
    // The defaults may leave the command to each kind.
    if (kind.isolation == "exec" && kind.command.empty() && table != "defaults") {
      refuse(table,
             "isolation \"exec\" needs a command, such as command = [\"prog\", \"-x\"]");
    }
    if (!runs_handlers || table == "defaults") return;
    for (const char* key : {"env", "pass_env", "cwd", "output", "sandbox"}) {
      if (said(prefix + key)) {
        refuse(prefix + key, "is for programs, and " + named + " runs none");
      }
    }
  }

  void program(const std::string& prefix, const KindConfig& kind) {
    const auto has_nul = [](const std::string& s) {
      return s.find('\0') != std::string::npos;
    };
    const auto bad_variable = [&](const std::string& name) {
      return name.empty() || name.find('=') != std::string::npos || has_nul(name);
    };
    if (!kind.command.empty() && kind.command.front().empty()) {
      refuse(prefix + "command", "the program's name is empty");
    }
    if (std::any_of(kind.command.begin(), kind.command.end(), has_nul)) {
      refuse(prefix + "command", "an argument holds a NUL byte");
    }
    for (const auto& [name, text] : kind.env) {
      if (bad_variable(name) || has_nul(text)) {
        refuse(prefix + "env", quote(name) + " is not a possible variable");
      }
      if (name.starts_with("CARREL_JOB_")) refuse(prefix + "env", quote(name) + kOurs);
    }
    for (const std::string& name : kind.pass_env) {
      if (bad_variable(name)) {
        refuse(prefix + "pass_env",
               quote(name) + " is not a possible name of a variable");
      }
      if (name.starts_with("CARREL_JOB_")) {
        refuse(prefix + "pass_env", quote(name) + kOurs);
      }
    }
    if (has_nul(kind.cwd)) refuse(prefix + "cwd", "holds a NUL byte");
    if (config_.sandbox(kind.sandbox)) return;
    std::vector<std::string> known = {"none", "restricted", "standard", "full"};
    for (const auto& [name, profile] : config_.sandboxes) known.push_back(name);
    refuse(prefix + "sandbox", "there is no [sandbox." + kind.sandbox + "]" +
                                   did_you_mean(kind.sandbox, known));
  }

  void sandbox(const std::string& prefix, const SandboxProfile& profile) {
    bounds(config::sandbox_keys(), profile, prefix);
    const bool full = profile.tier == SandboxTier::kFull;
    const auto& features = sandbox_features();
    for (const auto& name : profile.allow_missing) {
      if (std::find(features.begin(), features.end(), name) != features.end()) continue;
      refuse(prefix + "allow_missing", quote(name) + " is nothing that may be missing" +
                                           did_you_mean(name, features));
    }
    const auto at_least = [&](const char* key, std::uint64_t value, std::uint64_t least,
                              const std::string& text) {
      if (value == 0 || value >= least) return;
      refuse(prefix + key, "too little to load a program: at least " + text +
                               ", or 0 for no limit of its own");
    };
    at_least("open_files", profile.open_files, kLeastFiles, std::to_string(kLeastFiles));
    at_least("address_space", profile.address_space, kLeastSpace,
             config::size_text(kLeastSpace));
    at_least("stack", profile.stack, kLeastStack, config::size_text(kLeastStack));
    if (!full && profile.memory > 0) {
      refuse(prefix + "memory",
             "needs tier = \"full\"; address_space bounds each process");
    }
    if (!full && profile.cpus > 0) refuse(prefix + "cpus", "needs tier = \"full\"");
    if (!full && !profile.cgroup_parent.empty()) {
      refuse(prefix + "cgroup_parent", "needs tier = \"full\"");
    }
    // What would look like a bound must be one.
    if (profile.tier == SandboxTier::kRestricted) {
      const char* const kOnDisk =
          "needs tier = \"standard\"; a restricted program's folder is on the host's "
          "disk, where fsize bounds each file";
      const SandboxProfile defaults;
      if (said(prefix + "tmpfs_size") || profile.tmpfs_size != defaults.tmpfs_size) {
        refuse(prefix + "tmpfs_size", kOnDisk);
      }
      if (said(prefix + "tmpfs_files") || profile.tmpfs_files != defaults.tmpfs_files) {
        refuse(prefix + "tmpfs_files", kOnDisk);
      }
    }
    if (profile.tier == SandboxTier::kRestricted && !profile.landlock) {
      refuse(prefix + "landlock",
             "tier = \"restricted\" has nothing else that keeps files from a program");
    }
    if (profile.tier == SandboxTier::kRestricted &&
        profile.seccomp == SandboxSyscalls::kOff &&
        profile.network == SandboxNetwork::kNone) {
      refuse(prefix + "seccomp",
             "tier = \"restricted\" has nothing else that keeps the network from a "
             "program: set network = \"host\", or leave the filter on");
    }
    for (const auto& mount : profile.mounts) {
      if (const auto why = bad_mount(profile.tier, mount)) {
        refuse(prefix + "mounts", quote(mount.src) + " " + *why);
      }
    }
    for (const auto& name : profile.files_out) {
      if (process::stays_inside(name)) continue;
      refuse(prefix + "files_out", quote(name) + " is no file of its folder");
    }
  }

  static std::optional<std::string> bad_mount(SandboxTier tier,
                                              const SandboxMount& mount) {
    if (mount.src.empty()) return "is empty";
    if (mount.dst.empty() && mount.src.front() != '/') {
      return "is relative, and there is no dst";
    }
    const std::string dst = mount.dst.empty() ? mount.src : mount.dst;
    if (dst.front() != '/' || !process::stays_inside(std::string_view(dst).substr(1))) {
      return "must appear at an absolute path, without . or .., and not at /";
    }
    if (tier == SandboxTier::kRestricted && dst != mount.src) {
      return "cannot appear elsewhere: tier \"restricted\" has the host's folders";
    }
    for (const std::string own : {"/proc", "/dev", "/tmp"}) {
      if (tier != SandboxTier::kRestricted && (dst + "/").starts_with(own + "/")) {
        return "cannot appear in " + own + ", which is the sandbox's own";
      }
    }
    if (tier != SandboxTier::kRestricted && !mount.ro &&
        (dst == "/etc" || dst == "/etc/")) {
      return "cannot be written at /etc: the sandbox makes files of its own there";
    }
    return std::nullopt;
  }

  const Config& config_;
  std::optional<Error> error_;
};

}  // namespace

Result<void> Config::validate() const { return Validator(*this).run(); }

}  // namespace carrel
