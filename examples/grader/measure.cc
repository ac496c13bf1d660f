#include "measure.h"

#include <trial/child.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace grader {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;

constexpr std::chrono::minutes kTrialPatience{15};  // over the trial's own, so that it can say

TrialWork work_of(const Plan& plan, std::size_t number, const Trial& trial) {
  TrialWork work;
  work.way = trial.way;
  for (const auto& [store, url] : plan.stores) {
    if (store == trial.store) work.store = url;
  }
  work.order = trial.order;
  work.name = "grader-" + std::to_string(::getpid()) + "-" + std::to_string(number);
  work.at_once = plan.at_once;
  work.rounds = plan.rounds;
  work.wall_s = plan.wall_s;
  work.files = plan.files;
  return work;
}

}  // namespace

std::vector<Trial> trials(const Plan& plan) {
  std::vector<Trial> out;
  for (std::size_t i = 0; i < plan.stores.size(); ++i) {
    for (const char* way : {"system", "fork", "exec", "sandbox"}) {
      if (i > 0 && std::string(way) != "sandbox") continue;
      out.push_back({way, plan.stores[i].first, "", {}, {}});
    }
  }
  for (const auto& [store, url] : plan.stores) {
    for (const char* order : {"mixed", "strict"}) {
      out.push_back({"sandbox", store, order, {}, {}});
    }
  }
  return out;
}

carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial) {
  const trial::Folder folder("carrel-grader");
  if (folder.path().empty()) {
    return fail(Code::kUnavailable, "cannot make a temporary folder", {}, errno);
  }
  {
    std::ofstream out(folder.path() / "work.json");
    out << nlohmann::json(work_of(plan, number, trial));
    if (!out.flush()) {
      return fail(Code::kUnavailable, "cannot write into " + folder.path().string());
    }
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
  return {};
}

}  // namespace grader
