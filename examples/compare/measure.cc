#include "measure.h"

#include <report/text.h>
#include <sys/wait.h>
#include <trial/child.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "cell.h"
#include "hashing.h"

namespace compare {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;
using carrel::Result;

bool plain(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(),
                                      [](unsigned char c) { return c > ' ' && c < 127; });
}

// `count` words spread over the whole dictionary, or all if there are fewer.
std::vector<std::string> choose_words(const fs::path& file, std::size_t count) {
  std::vector<std::string> all;
  std::ifstream in(file);
  for (std::string word; std::getline(in, word);) {
    if (plain(word)) all.push_back(std::move(word));
  }
  if (all.size() <= count) return all;
  std::vector<std::string> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    chosen.push_back(std::move(all[i * all.size() / count]));
  }
  return chosen;
}

bool write_lines(const fs::path& file, const std::vector<std::string>& lines) {
  std::ofstream out(file);
  for (const std::string& line : lines) out << line << '\n';
  return static_cast<bool>(out.flush());
}

bool write_text(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

// The last lines that a child said, for a reason.
std::string tail(const fs::path& file) {
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (text.size() > 300) text = "…" + text.substr(text.size() - 300);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string how_it_ended(const trial::ChildReport& child) {
  if (child.timed_out) return "its process did not end in time and was killed";
  if (WIFSIGNALED(child.status)) {
    return "its process died of signal " + std::to_string(WTERMSIG(child.status));
  }
  return "its process ended with exit code " + std::to_string(WEXITSTATUS(child.status));
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::make(const Plan& plan) {
  const fs::path file = fs::exists(plan.dictionary) ? plan.dictionary : plan.fallback;
  const std::size_t largest =
      *std::max_element(plan.concurrency.begin(), plan.concurrency.end());
  const std::vector<std::string> words =
      choose_words(file, (plan.jobs + plan.latency_jobs + largest) * plan.words_per_job);
  if (words.empty()) {
    return fail(Code::kNotFound, "no words in " + plan.dictionary.string() + " nor in " +
                                     plan.fallback.string());
  }
  const std::vector<std::string> reference = hash_safely(plan.setting, words);
  if (reference.front().empty()) {
    return fail(Code::kInvalid,
                "work.setting: crypt(3) here cannot hash with \"" + plan.setting + "\"");
  }

  std::unique_ptr<Workspace> made(new Workspace);
  std::string pattern = (fs::temp_directory_path() / "carrel-compare-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(Code::kUnavailable, "cannot make the folder " + pattern, {}, errno);
  }
  made->folder_ = pattern;
  if (!write_lines(made->folder_ / "words", words) ||
      !write_lines(made->folder_ / "reference", reference)) {
    return fail(Code::kUnavailable, "cannot write into " + pattern, {}, errno);
  }

  const HashJob sample{
      plan.setting,
      {words.begin(), words.begin() + static_cast<std::ptrdiff_t>(
                                          std::min(words.size(), plan.words_per_job))}};
  // Processor time: what else the machine does must not show in it.
  const std::clock_t start = std::clock();
  constexpr int kRounds = 10;
  for (int i = 0; i < kRounds; ++i) hash_carelessly(sample);
  const double milliseconds =
      static_cast<double>(std::clock() - start) * 1000 / CLOCKS_PER_SEC / kRounds;
  made->description_ =
      "One job hashes " + std::to_string(plan.words_per_job) + " words of " +
      (file == plan.dictionary ? file.string() : file.filename().string()) +
      " with crypt(3), setting \"" + plan.setting + "\": " + report::brief(milliseconds) +
      " ms of one processor, bare. " + std::to_string(plan.latency_jobs) +
      " jobs are timed with no more of them in flight than may run at once, then " +
      std::to_string(plan.jobs) + " are enqueued at once.";
  return made;
}

Workspace::~Workspace() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

Result<Outcome> measure(const Plan& plan, const Combination& c,
                        const Workspace& workspace, std::size_t number) {
  const fs::path folder = workspace.folder() / std::to_string(number);
  fs::create_directory(folder);
  const CellWork work{workspace.folder() / "words",
                      workspace.folder() / "reference",
                      plan.setting,
                      plan.words_per_job,
                      plan.jobs,
                      plan.latency_jobs,
                      c.concurrency,
                      plan.timeout.count()};
  // The workspace's name is unique on this machine, and so is the queue's in the store.
  const std::string queue =
      workspace.folder().filename().string() + "-" + std::to_string(number);
  if (!write_text(folder / "engine.toml", engine_toml(plan, c, queue)) ||
      !write_text(folder / "work.json", nlohmann::json(work).dump())) {
    return fail(Code::kUnavailable, "cannot write into " + folder.string(), {}, errno);
  }
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  // Over the cell's own limit, so that it can say what it was waiting for.
  const auto child = trial::run_child({self, "--cell", folder.string()}, folder / "log",
                                      plan.timeout + std::chrono::seconds(10));
  if (!child) return tl::unexpected(child.error());

  Outcome outcome{c.queue.name,
                  c.store.name,
                  c.isolation.name,
                  c.concurrency,
                  c.isolation.expect,
                  Status::kFailed,
                  {},
                  {},
                  0};
  CellResult result;
  std::ifstream in(folder / "result.json");
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (child->timed_out || child->status != 0 || json.is_discarded()) {
    outcome.reason = how_it_ended(*child) + ". " + tail(folder / "log");
  } else {
    json.get_to(result);
    outcome.status = result.status;
    outcome.reason = result.reason;
    if (result.status == Status::kFailed) outcome.reason += " " + tail(folder / "log");
    outcome.measured = result.measured;
    outcome.measured.cpu_children_s += child->orphans_cpu_s;
    outcome.measured.peak_child_bytes =
        std::max(result.measured.peak_child_bytes, child->orphans_peak_bytes);
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return outcome;
}

}  // namespace compare
