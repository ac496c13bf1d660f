// Which available jobs their limits and rates let begin.
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "limits.h"
#include "statements.h"

namespace carrel::sql::sqlite {

std::vector<JobId> Limits::admit(std::span<const JobId> ids, Time at,
                                 const Stops& stops) {
  Asked limited;
  ids_ = json_array(ids);
  find_available_.rows([&] {
    limited.emplace(to_id(id_), Limited{key_, limit_, some_run_ != 0});
  });
  return admit(ids, limited, at, stops);
}

// Of the keys of these; one of which nothing runs is not in it. Most keys are either free
// or full: only those that let several run have to be counted.
std::unordered_map<std::string, long long> Limits::running_of(const Asked& limited) {
  std::unordered_map<std::string, long long> running;
  std::vector<JobId> counted;
  for (const auto& [id, limit] : limited) {
    if (!limit.some_run) continue;
    running.emplace(limit.key, 1);  // at least
    if (limit.limit > 1) counted.push_back(id);
  }
  if (counted.empty()) return running;
  ids_ = json_array(counted);
  running_of_keys_.rows([&] { running.insert_or_assign(key_, number_); });
  return running;
}

std::vector<JobId> Limits::admit(std::span<const JobId> ids, const Asked& limited,
                                 Time at, const Stops& stops) {
  std::unordered_map<JobId, Rate> rated;
  if (any_rate_) rated = rates_.find_available(ids);
  if (limited.empty() && rated.empty()) return {ids.begin(), ids.end()};
  auto running_now = running_of(limited);
  std::map<std::string, long long> starting;
  std::vector<JobId> admitted;
  std::vector<JobId> at_limit;
  std::vector<JobId> at_window;
  const auto admits = [&](JobId id) {
    const auto rate = rated.find(id);
    const auto limit = limited.find(id);
    if (rate != rated.end() &&
        rates_.full(rate->second, at, starting[rate->second.key])) {
      at_window.push_back(id);
      waking_rates_.insert(rate->second.key);
      if (limit != limited.end()) touched_.insert(limit->second.key);
      return false;
    }
    if (limit != limited.end()) {
      const std::string& key = limit->second.key;
      long long& count = running_now[key];
      if (count >= limit->second.limit) {
        at_limit.push_back(id);
        touched_.insert(key);  // should one of the admitted not be claimed after all
        if (rate != rated.end()) waking_rates_.insert(rate->second.key);
        return false;
      }
      ++count;
    }
    if (rate != rated.end()) ++starting[rate->second.key];
    return true;
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (admits(ids[i])) {
      admitted.push_back(ids[i]);
    } else if (stops && stops(i)) {
      break;
    }
  }
  hold(at_limit, Turn::kWaitsForLimit);
  hold(at_window, Turn::kWaitsForWindow);
  return admitted;
}

void Limits::hold(std::span<const JobId> ids, Turn turn) {
  if (ids.empty()) return;
  for (auto& [id, row] : loader_.load(ids)) {
    if (!rules::hold(row.rule)) continue;
    saver_.save(row);
    if (turn == Turn::kWaitsForWindow) {
      wait_for_window(id, row.run_at);
    } else {
      wait_for_limit(id, row.run_at);
    }
  }
}

void Limits::started(std::span<const Claimed> jobs, Time at) {
  if (jobs.empty()) return;
  seen_.reset();
  std::vector<JobId> ids;
  ids.reserve(jobs.size());
  for (const Claimed& job : jobs) ids.push_back(job.lease.id);
  if (any_rate_) {
    const auto rated = rates_.find_available(ids);
    for (const Claimed& job : jobs) {
      const auto rate = rated.find(job.lease.id);
      if (rate == rated.end()) continue;
      rates_.set(job.lease.id, std::nullopt, at);
      rates_.start(job.lease, rate->second, at);
      waking_rates_.insert(rate->second.key);
    }
  }
  ids_ = json_array(ids);
  start_.run();
}

}  // namespace carrel::sql::sqlite
