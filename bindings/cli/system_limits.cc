#include "system_limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace carrel::cli {
namespace {

// Left to the host: its own files, the store's, the engine's.
constexpr std::uint64_t kSpare = 64;

std::uint64_t soft_limit(__rlimit_resource which) {
  rlimit limit{};
  if (getrlimit(which, &limit) != 0) return 0;
  return limit.rlim_cur;
}

std::vector<std::string> isolations(const Config& config) {
  std::vector<std::string> names{config.defaults.isolation};
  for (const auto& [name, kind] : config.jobs) names.push_back(kind.isolation);
  return names;
}

}  // namespace

std::size_t concurrency(const Config& config) {
  if (config.worker.concurrency > 0) return config.worker.concurrency;
  return std::max(1U, std::thread::hardware_concurrency());
}

std::vector<LimitCheck> check_limits(
    const Config& config, const std::map<std::string, std::size_t>& descriptors) {
  const std::uint64_t at_once = concurrency(config);
  std::uint64_t dearest = 0;
  for (const std::string& name : isolations(config)) {
    if (const auto it = descriptors.find(name); it != descriptors.end()) {
      // While a program starts, what it is given is open here, too.
      dearest = std::max<std::uint64_t>(dearest, (name == "exec" ? 2 : 1) * it->second);
    }
  }
  std::vector<LimitCheck> checks;
  LimitCheck files{
      "descriptors", soft_limit(RLIMIT_NOFILE), at_once * dearest + kSpare, true, {}};
  files.enough = files.limit >= files.needed;
  if (!files.enough) {
    files.advice = "raise it (ulimit -n " + std::to_string(files.needed) +
                   "), or lower worker.concurrency";
  }
  checks.push_back(std::move(files));
  // Threads are counted as children are; root has no limit.
  if (geteuid() != 0) {
    LimitCheck processes{
        "processes", soft_limit(RLIMIT_NPROC), at_once + kSpare, true, {}};
    processes.enough = processes.limit >= processes.needed;
    if (!processes.enough) {
      processes.advice = "raise it (ulimit -u " + std::to_string(processes.needed) +
                         "), or lower worker.concurrency";
    }
    checks.push_back(std::move(processes));
  }
  return checks;
}

}  // namespace carrel::cli
