#include "measure.h"

#include <trial/child.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <algorithm>

namespace s3 {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;

constexpr std::uintmax_t kLargestFile = 64 << 10;
constexpr std::chrono::minutes kTrialPatience{11};  // over the trial's own, so that it can say

// Every object against its file.
void read_back(const TrialWork& work, Trial& trial) {
  Settings settings = settings_of(work);
  settings.timeout = std::chrono::seconds(60);
  configure(settings);
  for (std::size_t i = 0; i < work.files.size(); ++i) {
    const auto object = get(work.keys[i]);
    if (!object) {
      ++trial.missing;
    } else if (*object == trial::content_of(work.files[i])) {
      ++trial.right;
    } else {
      ++trial.different;
    }
  }
}

TrialWork work_of(const Plan& plan, const Trial& trial, const std::string& name) {
  TrialWork work;
  work.way = trial.way;
  for (const auto& [store, url] : plan.stores) {
    if (store == trial.store) work.store = url;
  }
  work.queue = name;
  work.at_once = plan.at_once;
  if (trial.faults) {
    work.timeout_ms = 1'000;          // an upload that hangs is ended by the engine …
    work.client_timeout_ms = 60'000;  // … for the client would wait
  }
  for (const std::string& file : plan.files) {
    work.files.push_back(file);
    work.keys.push_back(name + (trial.faults ? "/faulty" : "") + file);
  }
  work.endpoint = plan.server.endpoint;
  work.region = plan.server.region;
  work.bucket = plan.server.bucket;
  work.access_key = plan.server.access_key;
  work.secret_key = plan.server.secret_key;
  return work;
}

}  // namespace

std::vector<Trial> trials(const Plan& plan) {
  std::vector<Trial> out;
  const auto add = [&](const std::string& way, const std::string& store, bool faults) {
    Trial trial;
    trial.way = way;
    trial.store = store;
    trial.faults = faults;
    trial.at_once = plan.at_once;
    trial.files = plan.files.size();
    out.push_back(std::move(trial));
  };
  for (const auto& [store, url] : plan.stores) {
    for (const char* way : {"thread", "mutex", "fork"}) add(way, store, false);
  }
  add("fork_to", "–", false);
  if (plan.stand_in == nullptr) return out;
  for (const auto& [store, url] : plan.stores) add("fork", store, true);
  add("fork_to", "–", true);
  return out;
}

carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial) {
  const trial::Folder folder("carrel-s3");
  if (folder.path().empty()) {
    return fail(Code::kUnavailable, "cannot make a temporary folder", {}, errno);
  }
  const std::string name =
      "carrel-" + std::to_string(::getpid()) + "-" + std::to_string(number);
  const TrialWork work = work_of(plan, trial, name);
  if (!trial::write_file(folder.path() / "work.json", nlohmann::json(work).dump())) {
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
  trial.result.cpu_seconds += child->orphans_cpu_s;
  trial.result.child_bytes =
      std::max(trial.result.child_bytes, child->orphans_peak_bytes);
  if (plan.stand_in != nullptr) trial.server = plan.stand_in->counts(name);
  read_back(work, trial);
  return {};
}

carrel::Result<std::vector<std::string>> choose_files(const fs::path& folder,
                                                      std::size_t count) {
  std::vector<std::string> all;
  std::error_code error;
  for (fs::recursive_directory_iterator it(
           folder, fs::directory_options::skip_permission_denied, error);
       !error && it != fs::end(it); it.increment(error)) {
    std::error_code ignored;
    if (it->is_symlink(ignored) || !it->is_regular_file(ignored)) continue;
    const auto size = it->file_size(ignored);
    if (size > 0 && size <= kLargestFile) all.push_back(it->path().string());
  }
  if (error) {
    return fail(Code::kNotFound,
                "cannot read " + folder.string() + ": " + error.message());
  }
  if (all.size() < count) {
    return fail(Code::kNotFound, folder.string() + " has " + std::to_string(all.size()) +
                                     " files of 1 byte to 64 KiB, and " +
                                     std::to_string(count) + " are asked for");
  }
  std::sort(all.begin(), all.end());
  std::vector<std::string> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    chosen.push_back(std::move(all[i * all.size() / count]));
  }
  return chosen;
}

}  // namespace s3
