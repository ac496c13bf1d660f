#include "underway.h"

#include <algorithm>

namespace carrel::zmq {

void Awaits::add(const CallPtr& call) {
  for (const JobId id : std::get<AwaitAsk>(call->request).ids) {
    by_job_.emplace(value(id), call);
  }
}

void Awaits::remove(const CallPtr& call) {
  for (const JobId id : std::get<AwaitAsk>(call->request).ids) {
    const auto [from, to] = by_job_.equal_range(value(id));
    const auto it =
        std::find_if(from, to, [&](const auto& entry) { return entry.second == call; });
    if (it != to) by_job_.erase(it);
  }
}

std::vector<CallPtr> Awaits::of(JobId id) const {
  std::vector<CallPtr> calls;
  const auto [from, to] = by_job_.equal_range(value(id));
  for (auto it = from; it != to; ++it) calls.push_back(it->second);
  return calls;
}

std::vector<JobId> Awaits::jobs() const {
  std::vector<JobId> ids;
  for (auto it = by_job_.begin(); it != by_job_.end();
       it = by_job_.equal_range(it->first).second) {
    ids.push_back(JobId{it->first});
  }
  return ids;
}

void Claims::add(const CallPtr& call) {
  by_worker_[claim_of(*call).worker].push_back(call);
}

void Claims::remove(const CallPtr& call) {
  const auto it = by_worker_.find(claim_of(*call).worker);
  if (it != by_worker_.end() && std::erase(it->second, call) > 0 && it->second.empty()) {
    by_worker_.erase(it);
  }
}

std::vector<CallPtr> Claims::settled(const std::string& worker,
                                     std::uint64_t number) const {
  std::vector<CallPtr> calls;
  const auto it = by_worker_.find(worker);
  if (it == by_worker_.end()) return calls;
  for (const CallPtr& call : it->second) {
    if (claim_of(*call).number <= number) calls.push_back(call);
  }
  return calls;
}

}  // namespace carrel::zmq
