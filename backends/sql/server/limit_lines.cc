// The lines in which the jobs of a key stand: who has to wait, and who is let go.
#include <algorithm>
#include <utility>

#include "server/driver.h"
#include "server/limits.h"
#include "server/rows.h"

namespace carrel::sql::server {

std::map<Line, Limits::Count> Limits::count(std::span<const Line> lines) {
  std::map<Line, Count> counts;
  std::set<std::string> distinct;
  for (const Line& line : lines) {
    counts[line] = {};
    distinct.insert(line.key);
  }
  // Not counted: the claim finds what is too many.
  if (lines.empty() || !counts_) return counts;
  const std::vector<std::string> keys(distinct.begin(), distinct.end());
  JsonRows rows;
  for (std::size_t n = 0; n < keys.size(); ++n) {
    rows.row().add("n", static_cast<long long>(n)).add_text("key", keys[n]);
    places_[keys[n]] = {};
  }
  rows_ = rows.take();
  count_.rows([&] {
    const std::string& key = keys.at(static_cast<std::size_t>(n_));
    places_[key].add({running_, reserved_, least_, asking_});
    const auto line = counts.find({key, lane_});
    if (line != counts.end()) line->second.available = reserved_ + asking_;
  });
  for (auto& [line, now] : counts) now.running = places_[line.key].running;
  return counts;
}

void Limits::Places::add(const Places& lane) {
  if (lane.reserved > 0) least = reserved > 0 ? std::min(least, lane.least) : lane.least;
  running += lane.running;
  reserved += lane.reserved;
  asking += lane.asking;
}

void Limits::place(std::span<Placing> jobs) {
  std::vector<Line> lines;
  for (const Placing& each : jobs) {
    lines.push_back({each.job->limit->key, lane_of(*each.job)});
  }
  std::map<Line, Count> counts = count(lines);
  std::map<std::string_view, Coming> coming;
  for (const auto& [job, row, reserved] : jobs) {
    Count& now = counts[{job->limit->key, lane_of(*job)}];
    if (now.running + now.available >= job->limit->running) {
      rules::hold(*row);
      continue;
    }
    ++now.available;
    coming[job->limit->key].add(job->limit->running);
  }
  for (auto& [job, row, reserved] : jobs) {
    if (row->state != State::kAvailable) continue;
    reserved = can_reserve(job->limit->key, coming[job->limit->key]);
  }
}

void Limits::Coming::add(long long limit) {
  least = jobs == 0 ? limit : std::min(least, limit);
  ++jobs;
}

// All that comes, or nothing of it: so what is available of a key is tried in its order.
bool Limits::can_reserve(const std::string& key, const Coming& coming) const {
  if (coming.rated) return false;
  const auto found = places_.find(key);
  if (found == places_.end()) return false;  // it was not counted
  const Places& now = found->second;
  const long long taken = now.running + now.reserved + coming.jobs;
  return now.asking == 0 && taken <= coming.least &&
         (now.reserved == 0 || taken <= now.least);
}

void Limits::make_available(const std::vector<JobId>& ids, int state) {
  if (ids.empty()) return;
  ids_ = json_array(ids);
  state_ = state;
  free_.run();
  if (state == kAvailableLimited) made_ = true;
}

// Of jobs that were pending in a lane. write_notes() and make_available() are to follow.
void Limits::let_go(const std::vector<JobId>& ids, const LimitedLane& lane,
                    std::vector<Ticket>& freed) {
  for (const JobId id : ids) freed.push_back({id, lane.queue, lane.kind, lane.priority});
}

void Limits::free(const Line& line, Count count, std::vector<Ticket>& freed) {
  constexpr std::size_t kAtOnce = 64;
  struct Waiting {
    JobId id;
    long long limit;
    Rate rate;
  };
  long long ahead = count.running + count.available;
  for (bool more = true; more;) {
    std::vector<Waiting> waiting;
    key_ = line.key;
    lane_ = line.lane;
    most_ = kAtOnce;
    pending_.rows([&] {
      waiting.push_back(
          {to_id(id_), limit_,
           Rate{rate_key_, static_cast<std::uint32_t>(starts_), Duration(period_)}});
    });
    std::vector<JobId> ids;
    std::set<std::string> shut;  // rates whose window is full
    bool full = false;
    Freed& going = freed_[line.key];
    for (const auto& [id, limit, rate] : waiting) {
      if (ahead >= limit) {
        full = true;
        continue;
      }
      const bool rated = !rate.key.empty();
      const bool closed = rated && (shut.contains(rate.key) ||
                                    (try_slot(rate_slot_of(rate.key)) &&
                                     rates_.ahead(rate, line.lane) >= rate.starts));
      if (!closed) {
        ids.push_back(id);
        ++ahead;
        going.coming.add(limit);
        going.coming.rated = going.coming.rated || rated;
        if (!rated) {
          note_limit(id, State::kAvailable, std::nullopt);
          continue;
        }
        rates_of_.emplace(id, rate.key);
        note_limit(id, State::kAvailable, std::nullopt);
        rates_.note(id, Standing::kAvailable);
        rates_.ahead(rate, line.lane);
        rates_.more(rate, line.lane);
        continue;
      }
      // It waits for that now, and whoever is behind it may run in its stead.
      shut.insert(rate.key);
      note_limit(id, std::nullopt, std::nullopt);
      rates_.note(id, Standing::kWaits);
      waking_rates_.insert(rate.key);
    }
    more = waiting.size() == kAtOnce && !full;
    going.ids.insert(going.ids.end(), ids.begin(), ids.end());
    let_go(ids, LimitedLane::of(line.lane), freed);
    write_notes();
  }
}

// Those whose window has room. Where their limit is full, they wait for that instead.
void Limits::free_rated(const Line& line, std::vector<Ticket>& freed) {
  constexpr std::size_t kAtOnce = 64;
  const auto waiting = rates_.waiting(line, kAtOnce);
  std::vector<Line> lines;
  for (const auto& one : waiting) {
    const bool limited = !one.limit_key.empty();
    if (limited && try_slot(slot_of(one.limit_key))) {
      lines.push_back({one.limit_key, line.lane});
    }
  }
  std::map<Line, Count> counts = count(lines);
  std::vector<JobId> ids;
  for (const auto& [id, rate, limit_key, limit] : waiting) {
    if (rates_.ahead(rate, line.lane) >= rate.starts) break;
    if (!limit_key.empty()) {
      rates_of_.emplace(id, rate.key);
      if (const auto known = counts.find({limit_key, line.lane}); known != counts.end()) {
        Count& now = known->second;
        if (now.running + now.available >= limit) {
          note_limit(id, State::kPending, std::nullopt);
          rates_.note(id, std::nullopt);
          continue;
        }
        ++now.available;
      }
      note_limit(id, State::kAvailable, std::nullopt);
    }
    ids.push_back(id);
    rates_.note(id, Standing::kAvailable);
    rates_.more(rate, line.lane);
  }
  make_available(ids, kAvailableLimited);
  let_go(ids, LimitedLane::of(line.lane), freed);
  write_notes();
}

void Limits::windows_opened() {
  constexpr std::size_t kMany = 100;
  std::vector<std::string> keys = rates_.due(kMany);
  std::set<int> slots;
  for (const std::string& key : keys) slots.insert(rate_slot_of(key));
  const std::set<int> busy = try_lock(slots);
  std::erase_if(keys, [&](const auto& key) { return busy.contains(rate_slot_of(key)); });
  touched_rates_.insert(keys.begin(), keys.end());
  due_rates_.insert(keys.begin(), keys.end());
}

std::vector<Ticket> Limits::settle() {
  std::vector<Ticket> freed;
  write_notes();
  const auto rates = std::exchange(touched_rates_, {});
  for (const Line& line : rates_.waiting_lines(rates)) free_rated(line, freed);
  if (!touched_.empty()) {
    if (!lines_) throw UnseenWaiting{};
    const std::vector<Line> lines = lines_.of(std::exchange(touched_, {}));
    const std::map<Line, Count> counts = count(lines);
    for (const Line& line : lines) free(line, counts.at(line), freed);
    std::vector<JobId> reserved;
    std::vector<JobId> others;
    for (const auto& [key, going] : std::exchange(freed_, {})) {
      auto& ids = can_reserve(key, going.coming) ? reserved : others;
      ids.insert(ids.end(), going.ids.begin(), going.ids.end());
    }
    make_available(reserved, static_cast<int>(State::kAvailable));
    make_available(others, kAvailableLimited);
  }
  waking_rates_.insert(rates.begin(), rates.end());
  const auto due = std::exchange(due_rates_, {});
  for (const std::string& key : due) waking_rates_.erase(key);
  rates_.wake_in_time(std::exchange(waking_rates_, {}));
  for (const std::string& key : due) rates_.looked_at(key);
  return freed;
}

}  // namespace carrel::sql::server
