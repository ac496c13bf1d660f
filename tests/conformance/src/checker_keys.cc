#include "checker_keys.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <tuple>

namespace carrel::conformance {
namespace {

struct KeyedRun {
  std::int64_t start;
  std::int64_t end;
  std::uint64_t id;
};

// Jobs of one key may name different numbers: then the largest holds for all, since who
// began first, by the log, need not have been the first that was claimed.
struct KeyedRuns {
  std::uint32_t most = 0;
  std::vector<KeyedRun> runs;
};

struct Began {
  Time at;
  std::uint64_t id;
  std::uint32_t most;
  Duration period;
};

std::vector<Time> starts_of(const JobRecord& row) {
  std::set<Time> starts;
  for (const Attempt& a : row.attempts) starts.insert(a.started);
  // The run that completed it need not be written down; another that is not among the
  // attempts was given back before it began.
  if (row.started && row.state == State::kCompleted) starts.insert(*row.started);
  return {starts.begin(), starts.end()};
}

}  // namespace

void check_limits(std::span<const JobRecord> rows, const JobsSeen& seen,
                  const Broken& broken) {
  std::map<std::string, KeyedRuns> keys;
  for (const JobRecord& row : rows) {
    const auto job = seen.find(value(row.id));
    if (!row.limit || job == seen.end()) continue;
    KeyedRuns& key = keys[row.limit->key];
    key.most = std::max(key.most, row.limit->running);
    for (const auto& [fence, run] : job->second.runs) {
      if (!run.start || !run.end) continue;
      const std::int64_t end = std::min(run.end->time, run.lease_until);
      if (run.start->time < end)
        key.runs.push_back({run.start->time, end, value(row.id)});
    }
  }
  for (auto& [name, key] : keys) {
    std::sort(key.runs.begin(), key.runs.end(),
              [](const KeyedRun& a, const KeyedRun& b) { return a.start < b.start; });
    std::multiset<std::int64_t> ends;  // of what is under way
    for (const KeyedRun& run : key.runs) {
      ends.erase(ends.begin(), ends.upper_bound(run.start));
      ends.insert(run.end);
      if (ends.size() <= key.most) continue;
      std::ostringstream text;
      text << "it began as number " << ends.size() << " of key " << name
           << ", whose limit is " << key.most;
      broken(10, run.id, text.str());
    }
  }
}

void check_rates(std::span<const JobRecord> rows, const Broken& broken) {
  std::map<std::string, std::vector<Began>> keys;
  for (const JobRecord& row : rows) {
    if (!row.rate) continue;
    for (const Time at : starts_of(row)) {
      keys[row.rate->key].push_back(
          {at, value(row.id), row.rate->starts, row.rate->period});
    }
  }
  for (auto& [name, began] : keys) {
    std::sort(began.begin(), began.end(),
              [](const Began& a, const Began& b) { return a.at < b.at; });
    for (std::size_t i = 0; i < began.size(); ++i) {
      const Began& one = began[i];
      if (i < one.most) continue;
      const Duration since = one.at - began[i - one.most].at;
      if (since >= one.period) continue;
      std::ostringstream text;
      text << "it began as number " << one.most + 1 << " of key " << name << " within "
           << since.count() << " us; its rate is " << one.most << " within "
           << one.period.count() << " us";
      broken(11, one.id, text.str());
    }
  }
}

}  // namespace carrel::conformance
