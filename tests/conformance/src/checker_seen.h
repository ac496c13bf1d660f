// What the event logs say of jobs, as the checker's rules look at it.
#pragma once

#include <carrel/conformance/events.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace carrel::conformance {

struct RunSeen {
  std::optional<Event> start;
  std::optional<Event> end;
  std::int64_t lease_until = 0;  // the latest that was granted
  int claims = 0;
};
struct JobSeen {
  std::map<std::uint64_t, RunSeen> runs;  // by fence
  std::vector<Event> completions;         // accepted
};
using JobsSeen = std::map<std::uint64_t, JobSeen>;  // by id

// What producers asked for under one request id, however often, and what they heard.
struct RequestSeen {
  std::vector<Event> asks;
  std::vector<Event> acks;
  std::optional<Event> unique;  // under which key
  // It was a run that asked, without a request id.
  bool unnamed() const { return !asks.empty() && asks.front().id != 0; }
};
using RequestsSeen = std::map<std::string, RequestSeen>;  // by the key of the log

// Told of each rule that is broken, with the job and in what.
using Broken = std::function<void(int rule, std::uint64_t id, const std::string& text)>;

}  // namespace carrel::conformance
