// Which available jobs their limits and rates let begin.
#include <algorithm>
#include <utility>

#include "server/limits.h"

namespace carrel::sql::server {

Limits::Admission Limits::admit(std::span<const JobId> ids) {
  return admit(ids, keys_of(ids), false);
}

std::vector<Limits::Asked> Limits::know_free(std::span<const Asked> jobs) {
  std::set<int> slots;
  for (const Asked& job : jobs) {
    if (job.rate_key.empty()) slots.insert(slot_of(job.limit_key));
  }
  const std::set<int> busy = try_lock(slots);
  std::vector<Asked> free;
  for (const Asked& job : jobs) {
    if (!job.rate_key.empty() || busy.contains(slot_of(job.limit_key))) continue;
    keys_.insert_or_assign(job.id, job.limit_key);
    free.push_back(job);
  }
  return free;
}

Limits::Admission Limits::admit(std::span<const Asked> jobs, bool choosing) {
  std::vector<JobId> ids;
  Keys keys;
  ids.reserve(jobs.size());
  for (const auto& [id, limit_key, rate_key] : jobs) {
    ids.push_back(id);
    if (!limit_key.empty()) keys.limits.emplace(id, limit_key);
    if (!rate_key.empty()) keys.rates.emplace(id, rate_key);
  }
  return admit(ids, std::move(keys), choosing);
}

// But for those that others are claiming.
void Limits::unreserve(const std::set<std::string>& keys) {
  JsonRows rows;
  for (const std::string& key : keys) rows.row().add_text("limit_key", key);
  rows_ = rows.take();
  std::vector<JobId> picked;
  unreserve_.rows([&] { picked.push_back(to_id(id_)); });
  if (picked.empty()) return;
  made_ = true;
  if (!unreserve_picked_) return;
  ids_ = json_array(picked);
  unreserve_picked_.run();
}

Limits::Admission Limits::admit(std::span<const JobId> ids, Keys keys, bool choosing) {
  Admission answer;
  const std::set<int> busy = try_lock(keys.slots());
  busy_.insert(busy.begin(), busy.end());
  std::vector<JobId> asked;
  std::vector<JobId> asked_rates;
  for (const JobId id : ids) {
    if (!keys.contains(id)) continue;
    if (keys.touches(id, busy)) continue;
    asked.push_back(id);
    if (keys.rates.contains(id)) asked_rates.push_back(id);
  }
  if (asked.empty()) return answer;
  // As it is now that nobody else changes it.
  struct Now {
    std::string key;
    long long limit;
    bool rated;
  };
  std::unordered_map<JobId, Now> limited;
  std::unordered_map<std::string, Places> places;
  const auto look = [&] {
    limited.clear();
    places.clear();
    ids_ = json_array(asked);
    now_.rows([&] {
      limited.emplace(to_id(id_), Now{key_, limit_, state_ == kAvailableLimited});
      places.emplace(key_, Places{running_, reserved_, least_, 0});
    });
  };
  look();
  std::unordered_map<std::string, Coming> coming;
  for (const auto& [id, now] : limited) coming[now.key].add(now.limit);
  std::set<std::string> crowded;
  for (const auto& [key, now] : places) {
    const long long taken = now.running + now.reserved + coming[key].jobs;
    const bool fits = taken <= std::min(now.least, coming[key].least);
    if (now.reserved > 0 && !fits && held_.contains(slot_of(key))) crowded.insert(key);
  }
  if (!crowded.empty()) {
    unreserve(crowded);
    if (choosing) {
      std::erase_if(asked, [&](JobId id) {
        const auto found = limited.find(id);
        if (found == limited.end() || !crowded.contains(found->second.key)) return false;
        answer.to_choose_again.push_back(id);
        return true;
      });
    }
    look();
  }
  // What has its place may begin at any moment.
  std::unordered_map<std::string, long long> running;
  for (const auto& [key, now] : places) running[key] = now.running + now.reserved;
  std::unordered_map<JobId, Rates::Now> rated;
  for (Rates::Now& now : rates_.now(asked_rates)) rated.emplace(now.id, std::move(now));
  std::unordered_map<std::string, long long> starting;
  merge(std::move(keys));
  // One that went to another key in between: what runs of that may change any moment.
  const auto went_elsewhere = [&](JobId id) {
    std::set<int> slots;
    if (const auto limit = limited.find(id); limit != limited.end()) {
      if (limit->second.rated && !is_rated(id)) return true;  // it came by a rate
      slots.insert(slot_of(limit->second.key));
      keys_.insert_or_assign(id, limit->second.key);
    }
    if (const auto rate = rated.find(id); rate != rated.end()) {
      slots.insert(rate_slot_of(rate->second.rate.key));
      rates_of_.insert_or_assign(id, rate->second.rate.key);
    }
    if (std::includes(held_.begin(), held_.end(), slots.begin(), slots.end())) {
      return false;
    }
    busy_.insert(slots.begin(), slots.end());
    return true;
  };
  std::vector<JobId> refused;
  for (const JobId id : asked) {
    const auto limit = limited.find(id);
    const auto rate = rated.find(id);
    if (went_elsewhere(id)) continue;
    const bool has_limit = keys_.contains(id);
    if ((has_limit && limit == limited.end()) || (is_rated(id) && rate == rated.end())) {
      continue;  // it is not available any more
    }
    if (rate != rated.end()) {
      const Rate& of = rate->second.rate;
      if (rate->second.begun + starting[of.key] >= of.starts) {
        refused.push_back(id);
        note(id, std::nullopt, std::nullopt);
        rates_.note(id, Standing::kWaits);
        waking_rates_.insert(of.key);
        continue;
      }
    }
    bool full = false;
    if (has_limit) {
      const Places& at = places.at(limit->second.key);
      const long long taken = running[limit->second.key];
      full = taken - at.reserved >= limit->second.limit;
      // What others are claiming at this moment may not be theirs after all.
      const bool claimed_away = at.reserved > 0 && taken >= at.least;
      if (!full && (taken >= limit->second.limit || claimed_away)) continue;
    }
    if (full) {
      refused.push_back(id);
      // Touches its key, too: should one of the admitted not be claimed after all.
      note(id, State::kPending, std::nullopt);
      if (rate != rated.end()) {
        rates_.note(id, std::nullopt);
        waking_rates_.insert(rate->second.rate.key);
      }
      continue;
    }
    if (has_limit) ++running[limit->second.key];
    if (rate != rated.end()) {
      ++starting[rate->second.rate.key];
      admitted_.insert_or_assign(id, rate->second.rate);
    }
    answer.admitted.push_back(id);
  }
  if (refused.empty()) return answer;
  ids_ = json_array(refused);
  hold_.run();
  write_notes();
  return answer;
}

bool Limits::wait_for_busy() {
  constexpr int kOften = 10;
  std::erase_if(busy_, [&](int slot) { return use_->shunned.contains(slot); });
  if (busy_.empty() || ++waits_ > kOften) return false;
  wanted_ = std::exchange(busy_, {});
  claim_wants_ = true;
  return true;
}

}  // namespace carrel::sql::server
