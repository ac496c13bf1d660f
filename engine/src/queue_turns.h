// In which order each claim of a worker takes its queues.
#pragma once

#include <carrel/config.h>

#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace carrel {

// Not thread-safe.
class QueueTurns {
 public:
  // `seed`: of the chance that decides with order "weighted".
  QueueTurns(const WorkerConfig& worker, const std::map<std::string, QueueConfig>& queues,
             std::uint64_t seed = std::random_device{}());

  bool in_order() const noexcept { return order_ != QueueOrder::kMixed; }
  // For the next claim; valid until the one after it. With order "weighted" a queue comes
  // first in proportion to its weight, then another of those left, and so on: whatever
  // the weights, each is somewhere, so that none starves and no slot stays empty.
  std::span<const std::string> next();

 private:
  struct Entry {
    std::string queue;
    double weight;
    double key = 0;
  };
  const QueueOrder order_;
  std::vector<Entry> entries_;  // with order "weighted"
  std::vector<std::string> names_;
  std::mt19937_64 random_;
};

}  // namespace carrel
