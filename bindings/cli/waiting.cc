#include "waiting.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "progress.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

using Steady = std::chrono::steady_clock;

constexpr Duration kLook =
    std::chrono::milliseconds(250);  // between two looks at progress
constexpr std::size_t kBarColumns = 24;

class Waiting {
 public:
  Waiting(Engine& engine, std::size_t total, Duration at_most, bool json)
      : engine_(engine),
        total_(total),
        until_(Steady::now() + std::min<Duration>(at_most, std::chrono::hours(24 * 365))),
        json_(json),
        line_(json) {}

  int one(JobId id) {
    while (true) {
      const auto left = std::chrono::duration_cast<Duration>(until_ - Steady::now());
      const Duration step = std::clamp<Duration>(left, Duration{0}, kLook);
      const auto result = engine_.wait(id, step);
      if (result || result.error().code != Code::kTimeout) return ended(id, result);
      if (left <= step) return failed(result.error());
      look(id);
    }
  }

 private:
  int ended(JobId id, const Result<Json>& result) {
    ++done_;
    line_.draw("");
    if (json_) {
      const auto record = engine_.job(id);
      if (record) print_json(Json(*record));
      if (!result) return exit_code(result.error());
      return kOk;
    }
    if (!result) {
      const bool ran = result.error().code == Code::kFailed;
      complain((ran ? "job " + std::to_string(value(id)) + " failed: " : "") +
               result.error().message);
      return exit_code(result.error());
    }
    print_json(*result);
    return kOk;
  }

  void look(JobId id) {
    if (json_) return;
    const auto job = engine_.job(id);
    if (!job) return;
    const std::string name = "job " + std::to_string(value(id));
    const bool moved = job->progress.has_value();
    const double fraction = moved ? job->progress->fraction : 0;
    std::string text(to_string(job->state));
    if (job->state == State::kAvailable && paused(job->queue)) {
      text += ", and its queue " + printable(job->queue) + " is paused";
    }
    if (moved && !job->progress->message.empty()) text = job->progress->message;
    if (line_.on_terminal()) {
      std::string drawn =
          name + " " +
          bar(total_ > 1 ? static_cast<double>(done_) / static_cast<double>(total_)
                         : fraction,
              kBarColumns) +
          " ";
      if (total_ > 1)
        drawn += std::to_string(done_) + " of " + std::to_string(total_) + ", ";
      line_.draw(drawn + text);
      return;
    }
    char percent[16] = "";
    if (moved) std::snprintf(percent, sizeof percent, "%.0f %% ", fraction * 100);
    const std::string said = name + ": " + percent + printable(text);
    if (said != said_) line_.note(said);
    said_ = said;
  }

  bool paused(const std::string& queue) const {
    const auto names = engine_.store().monitor().paused();
    return names && std::find(names->begin(), names->end(), queue) != names->end();
  }

  Engine& engine_;
  std::size_t total_;
  std::size_t done_ = 0;
  Steady::time_point until_;
  bool json_;
  StatusLine line_;
  std::string said_;
};

}  // namespace

int wait_for(Engine& engine, std::span<const JobId> ids, Duration at_most, bool json) {
  Waiting waiting(engine, ids.size(), at_most, json);
  int code = kOk;
  for (const JobId id : ids) {
    const int one = waiting.one(id);
    if (code == kOk) code = one;
    if (one == kTimedOut || one == kStoreAway) break;
  }
  return code;
}

}  // namespace carrel::cli
