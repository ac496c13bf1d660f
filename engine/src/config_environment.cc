// CARREL_ variables over what a file or code has set.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "config_schema.h"
#include "wording.h"

namespace carrel {
namespace {

constexpr std::string_view kPrefix = "CARREL_";

// Names in use that are no key: the library's own, and what a job's program is given.
bool is_other(std::string_view name) {
  return name == "CARREL_MODULE_PATH" || name == "CARREL_CONFIG" ||
         name.starts_with("CARREL_JOB_");
}

std::vector<std::string> variable_names() {
  std::vector<std::string> names;
  for (const auto& key : config::engine_keys()) {
    if (config::is_scalar(key)) names.push_back(config::variable_name(key.name));
  }
  for (const auto& key : config::kind_keys()) {
    if (config::is_scalar(key) && key.name.find('.') == std::string_view::npos) {
      names.push_back(config::variable_name("defaults." + std::string(key.name)));
    }
  }
  return names;
}

// The key that has this name and is no scalar: "worker.queues".
std::optional<std::string> key_of_file(std::string_view name) {
  const auto names_it = [&](const std::string& key) {
    return name == config::variable_name(key);
  };
  for (const auto& key : config::engine_keys()) {
    if (names_it(std::string(key.name))) return std::string(key.name);
  }
  for (const auto& key : config::kind_keys()) {
    std::string full = "defaults." + std::string(key.name);
    if (names_it(full)) return full;
  }
  return std::nullopt;
}

// Whether `name` was meant for us: it begins with one of our tables, ends in one of our
// keys, or is nearly one of our names.
Result<void> refuse_if_meant(std::string_view name) {
  const auto known = variable_names();
  const std::string_view bare = name.substr(kPrefix.size());
  if (const auto key = key_of_file(name)) {
    return fail(Code::kInvalid,
                std::string(name) + ": " + *key + " is set in the file only", "config");
  }
  for (std::string_view table :
       {"WORKER_", "RETENTION_", "LOG_", "DEFAULTS_", "JOBS_", "QUEUES_", "SANDBOX_"}) {
    if (!bare.starts_with(table)) continue;
    return fail(Code::kInvalid,
                std::string(name) + ": there is no such setting" +
                    (table == "JOBS_"      ? "; [jobs] is set in the file only"
                     : table == "QUEUES_"  ? "; [queues] is set in the file only"
                     : table == "SANDBOX_" ? "; [sandbox] is set in the file only"
                                           : did_you_mean(name, known)),
                "config");
  }
  std::vector<std::string> bare_names;  // the shared prefix would make all of them near
  for (const auto& other : known) {
    bare_names.push_back(other.substr(kPrefix.size()));
    if (other.ends_with("_" + std::string(bare))) {
      return fail(Code::kInvalid,
                  std::string(name) + ": there is no such setting; did you mean " +
                      quote(other) + "?",
                  "config");
    }
  }
  if (const auto guess = nearest(bare, bare_names)) {
    return fail(Code::kInvalid,
                std::string(name) + ": there is no such setting; did you mean " +
                    quote(std::string(kPrefix) + *guess) + "?",
                "config");
  }
  return {};
}

class Overrides {
 public:
  explicit Overrides(Config& config) : config_(config) {}

  // Whether `name` is a setting of ours; then it is applied.
  Result<bool> apply(const std::string& name, std::string_view text) {
    for (const auto& key : config::engine_keys()) {
      if (config::is_scalar(key) && name == config::variable_name(key.name)) {
        return set(key, config_, std::string(key.name), name, text);
      }
    }
    for (const auto& key : config::kind_keys()) {
      const std::string full = "defaults." + std::string(key.name);
      if (!config::is_scalar(key) || key.name.find('.') != std::string_view::npos ||
          name != config::variable_name(full)) {
        continue;
      }
      auto done = set(key, config_.defaults, full, name, text);
      // A job of the file took its copy of the defaults before this one was known.
      for (auto& [kind, job] : config_.jobs) {
        const std::string table = "jobs." + kind;
        if (!done) break;
        if (config_.places.contains(table) &&
            !config_.places.contains(table + "." + std::string(key.name)) &&
            inherits(job, key.name)) {
          done = set(key, job, full, name, text);
        }
      }
      return done;
    }
    return false;
  }

 private:
  // As from [defaults] of a file. Those of the environment come in order, so the
  // isolation is known by now.
  bool inherits(const KindConfig& job, std::string_view key) const {
    return key != "key" || job.isolation == config_.defaults.isolation;
  }

  template <class Root>
  Result<bool> set(const config::Key<Root>& key, Root& root, const std::string& full,
                   const std::string& name, std::string_view text) {
    if (auto ok = config::set(key, root, config::from_text(key, text)); !ok) {
      return fail(Code::kInvalid, name + ": " + full + ": " + ok.error().message,
                  "config");
    }
    config_.places[full] = name;
    return true;
  }

  Config& config_;
};

}  // namespace

Result<void> Config::apply_environment() {
  std::vector<std::string> variables;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    if (std::string_view(*at).starts_with(kPrefix)) variables.emplace_back(*at);
  }
  // The order of the environment is nobody's choice: the error told must not hang on it.
  std::sort(variables.begin(), variables.end());
  Overrides overrides(*this);
  for (const std::string& variable : variables) {
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string name = variable.substr(0, equals);
    const std::string text = variable.substr(std::min(equals + 1, variable.size()));
    if (is_other(name)) continue;
    const auto applied = overrides.apply(name, text);
    if (!applied) return tl::unexpected<Error>(applied.error());
    if (*applied) continue;
    if (auto ok = refuse_if_meant(name); !ok) return ok;
  }
  return validate();
}

}  // namespace carrel
