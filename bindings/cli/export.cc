// Every job that the filters match, a line each: for backups, other databases and jq.
#include <cstdio>

#include "commands.h"
#include "session.h"

namespace carrel::cli {
namespace {

constexpr std::size_t kJobsAtOnce = 500;

}  // namespace

int export_jobs(const Global& global, const ExportArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  JobId before = args.before;
  for (;;) {
    // By id and not by offset: a page costs the same however many came before, and what
    // is enqueued or purged meanwhile moves nothing.
    const auto jobs = engine->list(args.filter, before, kJobsAtOnce);
    if (!jobs) {
      if (value(before) == 0) return failed(jobs.error());
      Error error = jobs.error();
      error.message += " (go on with --before " + std::to_string(value(before)) + ")";
      return failed(error);
    }
    for (const JobRecord& job : *jobs) print_json(Json(job));
    if (std::ferror(stdout) != 0) return kStoreAway;  // main says why
    if (jobs->empty()) return kOk;
    before = jobs->back().id;
  }
}

}  // namespace carrel::cli
