#include "server/queue_limits.h"

#include <algorithm>

namespace carrel::sql::server {

QueueLimits::QueueLimits(Session& session, const Statements& statements)
    : count_(session, statements.running_by_queue, soci::into(queue_),
             soci::into(running_)) {}

std::vector<std::string> QueueLimits::among(const Demand& demand) const {
  std::vector<std::string> queues;
  for (const auto& [queue, most] : *limits_) {
    const bool named = demand.queues.empty() ||
                       std::find(demand.queues.begin(), demand.queues.end(), queue) !=
                           demand.queues.end();
    if (named && most_of(demand, queue) > 0) queues.push_back(queue);
  }
  return queues;
}

std::vector<std::string> QueueLimits::all() const {
  std::vector<std::string> queues;
  for (const auto& [queue, most] : *limits_) queues.push_back(queue);
  return queues;
}

void QueueLimits::narrow(QueueRooms& rooms, const std::vector<std::string>& queues) {
  if (queues.empty()) return;
  std::map<std::string, long long> running;
  count_.rows([&] { running[queue_] = running_; });
  for (const std::string& queue : queues) {
    const auto& [name, most] = *limits_->find(queue);
    rooms.narrow(name, static_cast<std::size_t>(std::max(most - running[queue], 0LL)));
  }
}

std::vector<JobId> QueueLimits::admit(std::span<const JobId> ids,
                                      const std::unordered_map<JobId, StoredRow>& rows) {
  QueueRooms rooms;
  narrow(rooms, all());
  std::vector<JobId> admitted;
  for (const JobId id : ids) {
    const auto row = rows.find(id);
    if (row == rows.end() || row->second.rule.state != State::kAvailable) continue;
    if (rooms.take(row->second.queue, 1) == 1) admitted.push_back(id);
  }
  return admitted;
}

}  // namespace carrel::sql::server
