// Every job that the filters match, a line each: for backups, other databases and jq.
#include <algorithm>
#include <cstdio>

#include "commands.h"
#include "session.h"

namespace carrel::cli {
namespace {

constexpr std::size_t kMostJobs = 500;
constexpr std::size_t kPageBytes = 8U << 20;

// How many jobs the next page may have, so that it is about kPageBytes at most, when the
// last had `jobs` of `bytes` in all. Jobs may be some bytes each, or many megabytes.
std::size_t next_page(std::size_t page, std::size_t jobs, std::size_t bytes) {
  if (jobs == 0) return page;
  const std::size_t fit = kPageBytes / std::max<std::size_t>(1, bytes / jobs);
  return std::clamp<std::size_t>(fit, 1, std::min(kMostJobs, page * 2));
}

}  // namespace

int export_jobs(const Global& global, const ExportArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  JobId before = args.before;
  std::size_t page = 32;
  for (;;) {
    // By id and not by offset: a page costs the same however many came before, and what
    // is enqueued or purged meanwhile moves nothing.
    const auto jobs = engine->list(args.filter, before, page);
    if (!jobs) {
      if (value(before) == 0) return failed(jobs.error());
      Error error = jobs.error();
      error.message += " (go on with --before " + std::to_string(value(before)) + ")";
      return failed(error);
    }
    std::size_t bytes = 0;
    for (const JobRecord& job : *jobs) {
      print_json(Json(job));
      bytes += job.payload.size() + job.result.size() + job.checkpoint.size();
    }
    if (std::ferror(stdout) != 0) return kStoreAway;  // main says why
    if (jobs->size() < page) return kOk;
    before = jobs->back().id;
    page = next_page(page, jobs->size(), bytes);
  }
}

}  // namespace carrel::cli
