// Queues of which only so many jobs may run at once, in all workers of the file.
//
// What runs is counted over the rows, within the transaction that claims: SQLite has one
// writer at a time, so the count holds until it commits. Where no queue is limited,
// nothing is asked.
//
// The statement belongs to one session, and is used as it is. Throws soci::soci_error.
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

#include "statement.h"
#include "stored_row.h"

namespace carrel::sql::sqlite {

class QueueLimits {
 public:
  QueueLimits(soci::session& session, std::map<std::string, std::uint32_t> limits);

  bool any() const noexcept { return !limits_.empty(); }

  // Of the queues that `demand` names.
  void narrow(QueueRooms& rooms, const Demand& demand);
  // Which of these jobs may be claimed; `rows` has those that there are. The others stay
  // as they are.
  std::vector<JobId> admit(std::span<const JobId> ids,
                           const std::unordered_map<JobId, StoredRow>& rows);

  // A run of `queue` ended; and for how many of each one the next may run. What was taken
  // is forgotten.
  void ended(const std::string& queue);
  std::map<std::string, std::size_t> take_eased();
  void forget_eased() { eased_.clear(); }

 private:
  std::size_t room(const std::string& queue, std::uint32_t most);

  const std::map<std::string, std::uint32_t> limits_;
  std::map<std::string, std::size_t> eased_;
  std::string queue_;
  long long running_ = 0;
  Statement count_;
};

}  // namespace carrel::sql::sqlite
