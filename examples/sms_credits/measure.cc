#include "measure.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <trial/child.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "worker.h"

namespace sms {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;

constexpr std::chrono::minutes kTrialPatience{4};  // over the trial's own, so that it can say

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// "sqlite:jobs.db?x=y" → "sqlite:/folder/jobs.db?x=y".
std::string absolute(const std::string& store, const fs::path& folder) {
  const std::string scheme = "sqlite:";
  if (store.rfind(scheme, 0) != 0 || store[scheme.size()] == '/') return store;
  return scheme + (folder / store.substr(scheme.size())).string();
}

carrel::Result<Run> run_in(const fs::path& folder, const Work& work, Gateway& gateway) {
  std::ofstream(folder / "work.json") << nlohmann::json(work);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const auto child =
      trial::run_child({self, "--trial", folder.string()}, folder / "log", kTrialPatience);
  if (!child) return tl::unexpected(child.error());
  Run run;
  const auto result =
      nlohmann::json::parse(content_of(folder / "result.json"), nullptr, false);
  if (!result.is_discarded()) {
    result.get_to(run.result);
  } else if (child->timed_out) {
    run.died = "its process did not end in time";
  } else if (WIFSIGNALED(child->status)) {
    run.died = std::string("its process died: ") + strsignal(WTERMSIG(child->status));
  } else {
    run.died = "its process left no result: " + content_of(folder / "log");
  }
  const Gateway::Counts counts = gateway.counts(work.community);
  run.requests = counts.requests;
  run.messages = counts.messages;
  return run;
}

}  // namespace

carrel::Result<Run> measure(const Plan& plan, Gateway& gateway, std::size_t number,
                            const Way& way) {
  std::string folder = (fs::temp_directory_path() / "carrel-sms-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    return fail(Code::kUnavailable, "cannot make a temporary folder", {}, errno);
  }
  Work work;
  work.way = way.name;
  work.store = absolute(plan.store, folder);
  work.community = "c" + std::to_string(::getpid()) + "-" + std::to_string(number);
  work.gateway = gateway.endpoint() + "/" + work.community;
  work.credits = plan.credits;
  work.recipients = plan.recipients;
  work.at_once = plan.at_once;
  auto run = run_in(folder, work, gateway);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return run;
}

}  // namespace sms
