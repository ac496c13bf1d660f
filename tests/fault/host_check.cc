#include "host_check.h"

#include <carrel/job.h>

#include <map>

#include "work.h"

namespace carrel::fault {
namespace {

using Fences = std::multimap<JobId, Fence>;

Fences by_job(const std::vector<Lease>& rows) {
  Fences fences;
  for (const Lease& row : rows) fences.emplace(row.id, row.fence);
  return fences;
}

std::string count(std::size_t n, const char* what) {
  return std::to_string(n) + " rows of the host's say that " + what;
}

}  // namespace

HostReport check_host(Store& store, const HostDb::Rows& rows, const HostJobs& jobs,
                      JobId after) {
  HostReport report;
  const auto broken = [&](JobId id, const std::string& text) {
    report.broken.push_back("rule 2, job " + std::to_string(value(id)) + ": " + text);
  };
  Fences enqueued = by_job(rows.enqueued);
  Fences completed = by_job(rows.completed);
  for (JobId before{};;) {
    const auto page = or_die(store.monitor().list({}, before, 1'000), "list");
    if (page.empty() || page.front().id <= after) break;
    before = page.back().id;
    for (const JobRecord& job : page) {
      if (job.id <= after) break;
      const auto n = Json::parse(job.payload).at("n").get<std::size_t>();
      const std::size_t wanted = jobs.enqueued(n) ? 1 : 0;
      report.enqueued += wanted;
      if (const auto told = enqueued.count(job.id); told != wanted) {
        broken(job.id, count(told, "it was enqueued"));
      }
      enqueued.erase(job.id);
      const bool done = jobs.completed(n) && job.state == State::kCompleted;
      report.completed += done ? 1 : 0;
      const auto told = completed.count(job.id);
      if (told != (done ? 1 : 0)) {
        broken(job.id, count(told, "it was completed"));
      } else if (done && completed.find(job.id)->second != job.fence) {
        broken(job.id, "the host's row says that another run has completed it");
      }
      completed.erase(job.id);
    }
  }
  for (const auto& [id, fence] : enqueued) broken(id, "the host has a row, and no job");
  for (const auto& [id, fence] : completed) broken(id, "it was completed, and is no job");
  return report;
}

}  // namespace carrel::fault
