// Requests of the broker's clients that are under way, to be found by what they are
// about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "call.h"

namespace carrel::zmq {

// AWAITs, by the jobs whose end they wait for. Threads: one.
class Awaits {
 public:
  void add(const CallPtr& call);
  void remove(const CallPtr& call);
  bool empty() const noexcept { return by_job_.empty(); }
  std::size_t size() const noexcept { return by_job_.size(); }
  std::vector<CallPtr> of(JobId id) const;
  std::vector<JobId> jobs() const;  // each once

 private:
  std::unordered_multimap<std::uint64_t, CallPtr> by_job_;
};

// TAKEs and CLAIMs, by their worker. Threads: one.
class Claims {
 public:
  void add(const CallPtr& call);
  void remove(const CallPtr& call);
  // Those that this worker has given up, by its own count.
  std::vector<CallPtr> settled(const std::string& worker, std::uint64_t number) const;

 private:
  std::unordered_map<std::string, std::vector<CallPtr>> by_worker_;  // none is empty
};

}  // namespace carrel::zmq
