// Queues of which only so many jobs may run at once, in all workers of the database.
//
// What runs is counted over the rows. So that the count holds until a claim has
// committed, whoever claims from such a queue holds its slot (server/limits.h): one of
// those of the keys, taken by the same rules, so that there is no dead-lock. A run may
// end meanwhile; then there is more room than was counted, not less. Where no queue is
// limited, nothing is locked or asked.
//
// For one session. Throws soci::soci_error.
#pragma once

#include <carrel/demand.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/statement.h"
#include "server/statements.h"
#include "stored_row.h"

namespace carrel::sql::server {

class QueueLimits {
 public:
  using Numbers = std::map<std::string, std::uint32_t>;
  QueueLimits(Session& session, const Statements& statements);

  void begin(const Numbers& limits) {  // of a transaction; borrows `limits` for it
    limits_ = &limits;
    ended_.clear();
  }
  bool any() const noexcept { return !limits_->empty(); }

  // Those that `demand` names, leaving out what it takes none of.
  std::vector<std::string> among(const Demand& demand) const;
  std::vector<std::string> all() const;
  // How many jobs of these queues may start now.
  void narrow(QueueRooms& rooms, const std::vector<std::string>& queues);
  // Which of these jobs may be claimed; `rows` has those that there are. The others stay
  // as they are.
  std::vector<JobId> admit(std::span<const JobId> ids,
                           const std::unordered_map<JobId, StoredRow>& rows);

  // Runs of these queues ended: how many of each, until it is taken.
  void ended(const std::string& queue) {
    if (limits_->contains(queue)) ++ended_[queue];
  }
  std::map<std::string, std::size_t> take_ended() { return std::exchange(ended_, {}); }

 private:
  const Numbers* limits_ = nullptr;
  std::map<std::string, std::size_t> ended_;
  std::string queue_;
  long long running_ = 0;
  Statement count_;
};

}  // namespace carrel::sql::server
