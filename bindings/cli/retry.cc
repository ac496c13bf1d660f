#include <iostream>

#include "commands.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

Result<std::vector<JobId>> matching(Engine& engine, const Filter& filter) {
  std::vector<JobId> ids;
  JobId before{};
  while (true) {
    const auto jobs = engine.list(filter, before, kBatch);
    if (!jobs) return tl::unexpected<Error>(jobs.error());
    for (const JobRecord& job : *jobs) {
      if (!is_hold(job.kind)) ids.push_back(job.id);  // nobody waits for one that is over
    }
    if (jobs->size() < kBatch) return ids;
    before = jobs->back().id;
  }
}

std::string jobs(std::size_t n) { return grouped(n) + (n == 1 ? " job" : " jobs"); }

// Asks at a terminal; elsewhere nobody is there to answer.
Result<bool> confirmed(const RetryArgs& args, std::size_t n) {
  if (args.yes) return true;
  if (!is_terminal(stdin) || !is_terminal(stderr)) {
    return fail(Code::kInvalid,
                jobs(n) + (n == 1 ? " matches" : " match") +
                    ": say --yes to retry them, or --dry-run to see which");
  }
  std::fprintf(stderr, "Retry %s? [y/N] ", jobs(n).c_str());
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void say(const Global& global, JobId id, bool dry) {
  if (global.json) {
    print_json({{"id", value(id)}, {"retried", !dry}});
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(value(id)));
  }
}

int retry_matching(const Global& global, const RetryArgs& args, Engine& engine) {
  const auto ids = matching(engine, args.filter);
  if (!ids) return failed(ids.error());
  if (args.dry_run) {
    for (const JobId id : *ids) say(global, id, true);
    std::fprintf(stderr, "%s would be retried\n", jobs(ids->size()).c_str());
    return kOk;
  }
  if (!ids->empty()) {
    const auto yes = confirmed(args, ids->size());
    if (!yes) return failed(yes.error());
    if (!*yes) return kOk;
  }
  std::size_t retried = 0;
  for (std::size_t at = 0; at < ids->size(); at += kBatch) {
    const auto batch = std::span(*ids).subspan(at, std::min(kBatch, ids->size() - at));
    // The tickets are left: whoever runs these jobs finds their rows.
    const auto answers = engine.store().retry(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (answers[i]) {
        ++retried;
        say(global, batch[i], false);
      } else if (answers[i].error().code == Code::kUnavailable) {
        return failed(answers[i].error());
      }  // else it moved on since it was listed
    }
  }
  std::fprintf(stderr, "%s retried\n", jobs(retried).c_str());
  return kOk;
}

}  // namespace

int retry(const Global& global, const RetryArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  if (args.ids.empty()) return retry_matching(global, args, *engine);
  int code = kOk;
  for (const JobId id : args.ids) {
    if (args.dry_run) {
      const auto job = engine->job(id);
      if (job) {
        say(global, id, true);
      } else {
        code = failed(job.error());
      }
      continue;
    }
    if (const auto ok = engine->retry(id); ok) {
      say(global, id, false);
    } else {
      code = failed(ok.error());
    }
  }
  return code;
}

}  // namespace carrel::cli
