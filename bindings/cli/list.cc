#include "commands.h"
#include "session.h"
#include "table.h"
#include "wording.h"

namespace carrel::cli {
namespace {

constexpr std::size_t kPage = 500;

// What a reader of the list wants to know next, by state.
std::string about(const JobRecord& job) {
  if (is_hold(job.kind) && job.limit) {
    return "holds " + job.limit->key + ", " + std::to_string(job.limit->running) +
           " at once";
  }
  if (job.state == State::kRunning && job.progress) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f %% ", job.progress->fraction * 100.0);
    return text + job.progress->message;
  }
  if (job.state == State::kPending) return waits_for(job);
  if (job.state == State::kScheduled || job.state == State::kRetryable) {
    std::string text = "due " + when(job.run_at);
    if (!job.attempts.empty() && !job.attempts.back().message.empty()) {
      text += ": " + job.attempts.back().message;
    }
    return text;
  }
  if (job.state == State::kDiscarded) return why_discarded(job);
  if (job.state == State::kCompleted) return job.result;
  return {};
}

}  // namespace

int list(const Global& global, const ListArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  Table table({{"ID", Table::Align::kRight},
               {"STATE"},
               {"KIND"},
               {"QUEUE"},
               {"TRY", Table::Align::kRight},
               {"ENQUEUED"},
               {"ABOUT"}});
  JobId before = args.before;
  std::size_t left = args.limit;
  while (left > 0) {
    const auto jobs = engine->list(args.filter, before, std::min(left, kPage));
    if (!jobs) return failed(jobs.error());
    for (const JobRecord& job : *jobs) {
      if (global.json) {
        print_json(Json(job));
        continue;
      }
      table.add({{std::to_string(value(job.id))},
                 {std::string(to_string(job.state)), colour_of(job.state)},
                 {job.kind},
                 {job.queue},
                 {std::to_string(job.attempt) + "/" + std::to_string(job.max_attempts)},
                 {when(job.enqueued)},
                 {cut(about(job), 200)}});
    }
    if (jobs->empty()) break;
    before = jobs->back().id;
    left -= std::min(left, jobs->size());
  }
  if (global.json) return kOk;
  if (table.empty()) {
    std::fprintf(stderr, "no jobs\n");
  } else {
    table.print();
  }
  return kOk;
}

}  // namespace carrel::cli
