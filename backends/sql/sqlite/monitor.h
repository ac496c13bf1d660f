// What people and dashboards read of a SQLite store.
#pragma once

#include <carrel/store.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "session.h"

namespace carrel::sql::sqlite {

// A session of its own, so that a long listing holds up no worker. Threads: safe, one
// call at a time.
class SqliteMonitor final : public Monitor {
 public:
  SqliteMonitor(const Settings& settings, BackendOptions options,
                std::unique_ptr<Session> session);
  ~SqliteMonitor() override;

  Result<JobRecord> job(JobId id) override;
  Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                      std::size_t limit) override;
  Result<Counts> counts() override;
  Result<std::vector<std::string>> paused() override;
  Result<Footprint> footprint() override;

  Session& session() { return *session_; }

 private:
  // Runs `read` within one snapshot, and ends it.
  template <class Read>
  auto snapshot(Read read) -> Result<decltype(read())>;
  std::optional<JobRecord> record(JobId id);
  std::vector<Attempt> attempts(JobId id);

  const std::string path_;
  const BackendOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Session> session_;
  struct Statements;
  std::unique_ptr<Statements> statements_;
};

}  // namespace carrel::sql::sqlite
