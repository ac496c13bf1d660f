// The reading half of a SQLite store: what workers ask without writing.
#pragma once

#include <carrel/store.h>

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "lanes.h"
#include "queue_limits.h"
#include "session.h"

namespace carrel::sql::sqlite {

// A session of its own. Threads: safe, one call at a time. No call leaves a snapshot
// open: one that is held keeps the log from being checkpointed.
class Reader {
 public:
  Reader(const Settings& settings, BackendOptions options,
         std::unique_ptr<Session> session);

  Result<std::vector<Ticket>> peek(const Demand& demand);
  // Those of `ids` that are final or gone.
  Result<std::vector<JobId>> ended(std::span<const JobId> ids);
  // Until the next row falls due, at least 0; Duration::max(): none is waiting.
  Result<Duration> next_due();

  Session& session() { return *session_; }

 private:
  template <class Read>
  auto read(Read read) -> Result<decltype(read())>;

  const std::string path_;
  const BackendOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Session> session_;
  Lanes lanes_;
  QueueLimits queues_;
  std::string ids_;
  long long id_ = 0;
  int state_ = 0;
  long long wake_at_ = 0;
  Statement not_final_;
  Statement next_wake_;
  Statement next_unique_;
  Statement next_rate_;
};

}  // namespace carrel::sql::sqlite
