#include "queue_turns.h"

#include <algorithm>

namespace carrel {

QueueTurns::QueueTurns(const WorkerConfig& worker,
                       const std::map<std::string, QueueConfig>& queues,
                       std::uint64_t seed)
    : order_(worker.order), names_(worker.queues), random_(seed) {
  if (order_ != QueueOrder::kWeighted) return;
  for (const std::string& name : names_) {
    const auto found = queues.find(name);
    const std::uint32_t weight = found == queues.end() ? 1 : found->second.weight;
    entries_.push_back({name, static_cast<double>(weight)});
  }
}

// Each queue waits for an exponential time at the rate of its weight: the one that is
// first is so in proportion to its weight, and likewise among the rest.
std::span<const std::string> QueueTurns::next() {
  if (entries_.size() < 2) return names_;
  for (Entry& entry : entries_) {
    entry.key = std::exponential_distribution<double>(entry.weight)(random_);
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  for (std::size_t i = 0; i < entries_.size(); ++i) names_[i] = entries_[i].queue;
  return names_;
}

}  // namespace carrel
