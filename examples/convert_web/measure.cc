#include "measure.h"

#include <trial/child.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "samples.h"

namespace convert_web {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;

constexpr std::chrono::minutes kTrialPatience{10};
constexpr std::uint64_t kReserve = 2ULL << 30;  // left to everybody else

// The file as it is uploaded, and what must become of it, for each job of a trial.
TrialWork work_of(const Plan& plan, const Trial& trial, const std::string& name,
                  const fs::path& folder) {
  TrialWork work;
  work.way = trial.way;
  for (const auto& [store, url] : plan.stores) {
    if (store == trial.store) work.store = url;
  }
  work.queue = name;
  work.at_once = plan.at_once;
  const auto cases = all_cases();
  for (std::size_t i = 0; i < plan.count; ++i) {
    const Case& one = cases[i % cases.size()];
    ConversionJob job;
    job.input = (folder / one.name).string();
    job.output = (folder / ("out-" + std::to_string(i))).string();
    job.to = one.to;
    job.leak_bytes = plan.leak_bytes;
    work.jobs.push_back(std::move(job));
  }
  return work;
}

void compare(const TrialWork& work, Trial& trial) {
  const auto cases = all_cases();
  for (std::size_t i = 0; i < work.jobs.size(); ++i) {
    const Case& one = cases[i % cases.size()];
    const std::string& output = work.jobs[i].output;
    const bool right = one.error.empty()
                           ? trial::content_of(output) == one.expected
                           : !fs::exists(output) &&
                                 trial.result.refused.count(output) > 0 &&
                                 trial.result.refused.at(output) == one.error;
    trial.right += right ? 1 : 0;
    trial.broken += one.error.empty() ? 0 : 1;
    if (!right && trial.first_wrong.empty()) {
      trial.first_wrong = std::string(one.name) + " to " + std::string(one.to);
    }
  }
}

std::uint64_t free_memory() {
  std::ifstream in("/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  while (in >> name >> kib && name != "MemAvailable:") {
    in.ignore(100, '\n');
  }
  std::uint64_t free = kib * 1024;
  // In a container the group's bound may be nearer.
  std::ifstream bound("/sys/fs/cgroup/memory.max"), used("/sys/fs/cgroup/memory.current");
  std::uint64_t most = 0, now = 0;
  if (bound >> most && used >> now) free = std::min(free, most - std::min(most, now));
  return free;
}

}  // namespace

std::uint64_t affordable_leak(const Plan& plan) {
  const std::uint64_t free = free_memory();
  const std::uint64_t each =
      (free - std::min(free, kReserve)) / std::max<std::size_t>(1, plan.count);
  return std::min(plan.leak_bytes, each) >> 20 << 20;
}

std::vector<Trial> trials(const Plan& plan) {
  std::vector<Trial> out;
  for (const auto& [store, url] : plan.stores) {
    for (const char* way : {"thread", "mutex", "fork", "exec"}) {
      Trial trial;
      trial.way = way;
      trial.store = store;
      trial.count = plan.count;
      trial.leak_bytes = plan.leak_bytes;
      out.push_back(std::move(trial));
    }
  }
  return out;
}

carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial) {
  const trial::Folder folder("carrel-convert");
  if (folder.path().empty()) {
    return fail(Code::kUnavailable, "cannot make a temporary folder", {}, errno);
  }
  bool written = true;
  for (const Embedded& file : samples()) {
    written =
        trial::write_file(folder.path() / file.name, std::string(file.text)) && written;
  }
  const std::string name =
      "convert-" + std::to_string(::getpid()) + "-" + std::to_string(number);
  const TrialWork work = work_of(plan, trial, name, folder.path());
  if (!written ||
      !trial::write_file(folder.path() / "work.json", nlohmann::json(work).dump())) {
    return fail(Code::kUnavailable, "cannot write into " + folder.path().string());
  }
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const auto child = trial::run_child({self, "--trial", folder.path().string()},
                                      folder.path() / "log", kTrialPatience);
  if (!child) return tl::unexpected(child.error());
  trial.died = trial::how_it_died(*child);
  const auto result = nlohmann::json::parse(
      trial::content_of(folder.path() / "result.json"), nullptr, false);
  if (!result.is_discarded()) {
    result.get_to(trial.result);
  } else if (trial.died.empty()) {
    trial.died =
        "its process left no result: " + trial::content_of(folder.path() / "log");
  }
  // Its children are those of the process server, which it leaves behind.
  trial.result.cpu_seconds += child->orphans_cpu_s;
  trial.result.child_bytes =
      std::max(trial.result.child_bytes, child->orphans_peak_bytes);
  compare(work, trial);
  return {};
}

}  // namespace convert_web
