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
  Waiting(Engine& engine, std::size_t total, Duration at_most, const Bulk& bulk,
          bool json)
      : engine_(engine),
        bulk_(bulk),
        total_(total),
        until_(Steady::now() + std::min<Duration>(at_most, std::chrono::hours(24 * 365))),
        json_(json),
        line_(json) {}

  // The exit code; over() tells whether it is the job's.
  int one(JobId id) {
    over_ = false;
    while (true) {
      if (const int code = bulk_.between(); code != kOk) return code;
      const auto left = std::chrono::duration_cast<Duration>(until_ - Steady::now());
      const Duration step = std::clamp<Duration>(left, Duration{0}, kLook);
      const auto result = engine_.wait(id, step);
      if (!result && exit_code(result.error()) == kStoreAway) {
        return failed(result.error());
      }
      if (result || result.error().code != Code::kTimeout) return tell(id, result);
      if (left <= step) return failed(result.error());
      look(id);
    }
  }

  bool over() const noexcept { return over_; }

 private:
  int tell(JobId id, const Result<Json>& result) {
    over_ = true;
    ++done_;
    line_.draw("");
    const std::string name = "job " + std::to_string(value(id));
    // It was there when it was enqueued.
    const bool gone = !result && result.error().code == Code::kNotFound;
    const std::string not_kept = "ended, but is not kept (retention)";
    if (json_) {
      if (const auto record = engine_.job(id); record) {
        print_json(Json(*record));
      } else {
        Json known{{"id", value(id)}, {"state", nullptr}};
        if (result) known.update({{"state", "completed"}, {"result", *result}});
        known["message"] = result || gone ? not_kept : result.error().message;
        print_json(known);
      }
    } else if (result) {
      print_json(*result);
    } else if (gone) {
      complain(name + " " + not_kept);
    } else {
      // Of an attempt: what else there is to say names the job by itself.
      const bool ran =
          result.error().code == Code::kFailed && !result.error().origin.empty();
      complain((ran ? name + " failed: " : "") + result.error().message);
    }
    return result ? kOk : exit_code(result.error());
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
    if (line_.draws()) {
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
  const Bulk& bulk_;
  std::size_t total_;
  std::size_t done_ = 0;
  bool over_ = false;
  Steady::time_point until_;
  bool json_;
  StatusLine line_;
  std::string said_;
};

}  // namespace

Waited wait_for(Engine& engine, std::span<const JobId> ids, Duration at_most,
                const Bulk& bulk, bool json) {
  Waiting waiting(engine, ids.size(), at_most, bulk, json);
  Waited all;
  for (const JobId id : ids) {
    const int code = waiting.one(id);
    all.code = worse(all.code, code);
    if (!waiting.over()) break;
    ++all.told;
  }
  return all;
}

}  // namespace carrel::cli
