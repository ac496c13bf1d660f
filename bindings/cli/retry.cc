#include <algorithm>
#include <cctype>
#include <iostream>
#include <optional>

#include "bulk.h"
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
    if (jobs->empty()) return ids;
    for (const JobRecord& job : *jobs) {
      if (!is_hold(job.kind)) ids.push_back(job.id);  // nobody waits for one that is over
    }
    before = jobs->back().id;
  }
}

std::string jobs(std::size_t n) { return counted(n, "job"); }

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
  std::transform(answer.begin(), answer.end(), answer.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool yes = answer == "y" || answer == "yes";
  if (!yes) std::fprintf(stderr, "nothing retried\n");
  return yes;
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
  const Bulk bulk;
  std::size_t retried = 0;
  std::optional<Error> refused;  // the first
  for (std::size_t at = 0; at < ids->size(); at += kBatch) {
    const auto batch = std::span(*ids).subspan(at, std::min(kBatch, ids->size() - at));
    if (const int now = bulk.between(); now != kOk) {
      tell_rest(retried, ids->size(), "retried", batch.front());
      return now;
    }
    // The tickets are left: whoever runs these jobs finds their rows.
    const auto answers = engine.store().retry(batch);
    const Error* away = nullptr;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (answers[i]) {
        ++retried;
        say(global, batch[i], false);
      } else if (exit_code(answers[i].error()) == kStoreAway) {
        away = &answers[i].error();
      } else if (!refused) {  // most likely it moved on since it was listed
        refused = answers[i].error();
      }
    }
    if (away != nullptr) {
      const int code = failed(*away);
      tell_rest(retried, ids->size(), "retried", batch.front());
      return code;
    }
  }
  std::fprintf(stderr, "%s retried\n", jobs(retried).c_str());
  if (!refused) return kOk;
  complain(jobs(ids->size() - retried) + (ids->size() - retried == 1 ? " was" : " were") +
           " not: " + refused->message);
  return exit_code(*refused);
}

int retry_ids(const Global& global, const RetryArgs& args, Engine& engine) {
  const Bulk bulk;
  int code = kOk;
  std::size_t done = 0;
  for (const JobId id : args.ids) {
    if (const int now = bulk.between(); now != kOk) {
      tell_rest(done, args.ids.size(), args.dry_run ? "looked at" : "retried", id);
      return worse(code, now);
    }
    const auto ok =
        args.dry_run ? engine.job(id).map([](const JobRecord&) {}) : engine.retry(id);
    if (ok) {
      say(global, id, args.dry_run);
      ++done;
    } else {
      code = worse(code, failed(ok.error()));
    }
  }
  return code;
}

}  // namespace

int retry(const Global& global, const RetryArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  return args.ids.empty() ? retry_matching(global, args, *engine)
                          : retry_ids(global, args, *engine);
}

}  // namespace carrel::cli
