#include "commands.h"
#include "session.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {
namespace {

void field(std::string_view name, std::string_view text, Colour colour = Colour::kNone) {
  if (text.empty()) return;
  std::printf("%s%s\n",
              coloured(std::string(name) + std::string(14 - name.size(), ' '),
                       Colour::kFaint, stdout)
                  .c_str(),
              coloured(printable(text), colour, stdout).c_str());
}

void block(std::string_view title, std::string_view text) {
  if (text.empty()) return;
  std::string shown = printable(text, true);
  if (shown.back() == '\n') shown.pop_back();
  for (std::size_t at = 0; (at = shown.find('\n', at)) != std::string::npos; at += 3) {
    shown.insert(at + 1, "  ");
  }
  std::printf("\n%s\n  %s\n", coloured(title, Colour::kBold, stdout).c_str(),
              shown.c_str());
}

std::string attempt_line(const Attempt& a) {
  std::string text = std::to_string(a.attempt) + "  " + std::string(to_string(a.klass));
  if (a.exit_code != 0) text += " (exit " + std::to_string(a.exit_code) + ")";
  if (a.signal != 0) text += " (signal " + std::to_string(a.signal) + ")";
  text += "  " + when(a.started) + ", took " + rough(a.usage.wall);
  if (a.usage.cpu.count() > 0) text += ", cpu " + rough(a.usage.cpu);
  if (a.usage.max_rss_bytes > 0) {
    text += ", " + std::to_string(a.usage.max_rss_bytes >> 20) + " MiB";
  }
  if (a.rung == Rung::kStop) text += ", was asked to stop";
  if (a.rung == Rung::kTerm) text += ", was sent SIGTERM";
  if (a.rung == Rung::kKill) text += ", was sent SIGKILL";
  if (a.leftover_killed) text += ", left processes behind";
  return text;
}

void print(const JobRecord& job) {
  const Json shown = job;  // knows what is JSON and what is bytes
  field("job", std::to_string(value(job.id)), Colour::kBold);
  field("state", to_string(job.state), colour_of(job.state));
  field("kind", job.kind);
  field("queue", job.queue);
  if (job.priority != 0) field("priority", std::to_string(job.priority));
  field("attempt",
        std::to_string(job.attempt) + " of " + std::to_string(job.max_attempts));
  if (job.crashes != 0) field("crashes", std::to_string(job.crashes));
  if (job.cancel_requested && !is_final(job.state)) field("cancel", "requested");
  if (job.limit) {
    field("limit", std::to_string(job.limit->running) + " at once of " + job.limit->key);
  }
  if (job.rate) {
    field("rate", std::to_string(job.rate->starts) + " starts in " +
                      to_text(job.rate->period) + " of " + job.rate->key);
  }
  field("waits for", waits_for(job));
  field("enqueued", when(job.enqueued));
  if (!is_final(job.state) && job.state != State::kRunning)
    field("due", when(job.run_at));
  if (job.expires && !is_final(job.state)) field("expires", when(*job.expires));
  if (job.started) field("started", when(*job.started));
  if (job.ended) field("ended", when(*job.ended));
  if (job.state == State::kDiscarded && job.attempt == 0)
    field("why", why_discarded(job));
  field("worker", job.worker);
  field("request id", job.request_id);
  field("unique key", job.unique_key);
  if (job.timeout.count() > 0) field("timeout", to_text(job.timeout));
  if (job.progress) {
    char percent[32];
    std::snprintf(percent, sizeof percent, "%.0f %%", job.progress->fraction * 100.0);
    field("progress", std::string(percent) + " " + job.progress->message);
  }
  if (!job.payload.empty()) block("Arguments", shown.at("args").dump(2));
  if (!job.result.empty()) block("Result", shown.at("result").dump(2));
  if (!job.attempts.empty()) {
    std::printf("\n%s\n", coloured("Attempts", Colour::kBold, stdout).c_str());
    for (const Attempt& a : job.attempts) {
      const Colour colour = a.klass == OutcomeClass::kOk ? Colour::kGood : Colour::kNone;
      std::printf("  %s\n", coloured(printable(attempt_line(a)), colour, stdout).c_str());
      if (!a.message.empty()) {
        std::printf("     %s\n",
                    coloured(printable(a.message), Colour::kBad, stdout).c_str());
      }
    }
    std::string enforced;
    for (const auto& feature : job.attempts.back().enforced) {
      enforced += (enforced.empty() ? "" : ", ") + feature;
    }
    block("Sandbox of the last attempt", enforced);
    block("Standard error of the last attempt", job.attempts.back().stderr_tail);
  }
  block("Log", job.log);
}

}  // namespace

int show(const Global& global, const ShowArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  const auto job = engine->job(args.id);
  if (!job) return failed(job.error());
  if (args.result) {
    const auto result = engine->wait(args.id, Duration{0});
    if (!result) return failed(result.error());
    print_json(*result);
  } else if (global.json) {
    print_json(Json(*job));
  } else {
    print(*job);
  }
  return kOk;
}

}  // namespace carrel::cli
