#include "queue_limits.h"

#include <algorithm>

#include "statements.h"

namespace carrel::sql::sqlite {

QueueLimits::QueueLimits(soci::session& session,
                         std::map<std::string, std::uint32_t> limits)
    : limits_(std::move(limits)),
      count_(session, statements::kCountRunningOfQueue, soci::use(queue_, "queue"),
             soci::into(running_)) {}

std::size_t QueueLimits::room(const std::string& queue, std::uint32_t most) {
  queue_ = queue;
  count_.run();
  return running_ >= most ? 0 : static_cast<std::size_t>(most - running_);
}

void QueueLimits::narrow(QueueRooms& rooms, const Demand& demand) {
  for (const auto& [queue, most] : limits_) {
    if (!demand.queues.empty() && std::find(demand.queues.begin(), demand.queues.end(),
                                            queue) == demand.queues.end()) {
      continue;
    }
    const std::size_t* known = rooms.of(queue);
    if (known != nullptr && *known == 0) continue;
    rooms.narrow(queue, room(queue, most));
  }
}

std::vector<JobId> QueueLimits::admit(std::span<const JobId> ids,
                                      const std::unordered_map<JobId, StoredRow>& rows) {
  std::map<std::string, std::size_t> rooms;
  std::vector<JobId> admitted;
  for (const JobId id : ids) {
    const auto row = rows.find(id);
    if (row == rows.end() || row->second.rule.state != State::kAvailable) continue;
    const auto limit = limits_.find(row->second.queue);
    if (limit != limits_.end()) {
      auto known = rooms.find(limit->first);
      if (known == rooms.end()) {
        known = rooms.emplace(limit->first, room(limit->first, limit->second)).first;
      }
      if (known->second == 0) continue;
      --known->second;
    }
    admitted.push_back(id);
  }
  return admitted;
}

void QueueLimits::ended(const std::string& queue) {
  if (limits_.contains(queue)) ++eased_[queue];
}

std::map<std::string, std::size_t> QueueLimits::take_eased() {
  auto eased = std::exchange(eased_, {});
  for (auto& [queue, ends] : eased) {
    ends = std::min(ends, room(queue, limits_.at(queue)));
  }
  return eased;
}

}  // namespace carrel::sql::sqlite
