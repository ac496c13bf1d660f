// Who waits in the lines of limits and rates, and who of them is next.
#include "limits.h"

namespace carrel::sql::sqlite {

void Limits::windows_opened(Time at, std::size_t most) {
  for (std::string& key : rates_.due(at, most)) {
    touched_rates_.insert(key);
    due_rates_.insert(std::move(key));
    any_ = true;  // starts are kept when there is no job any more
  }
}

std::vector<Limits::Lane> Limits::lanes_with_pending(const std::string& key) {
  std::vector<Lane> lanes;
  key_ = key;
  queue_.clear();
  while (next_queue_.run()) {
    do {
      do {
        lanes.push_back({queue_, kind_, priority_});
      } while (next_priority_.run());
    } while (next_kind_.run());
  }
  return lanes;
}

bool Limits::let_go(JobId id, Turn turn, std::vector<StoredRow>& freed) {
  auto rows = loader_.load({&id, 1});
  const auto found = rows.find(id);
  if (found == rows.end() || !rules::free(found->second.rule)) return false;
  StoredRow& row = found->second;
  saver_.save(row);
  if (turn == Turn::kReserved) {
    reserve(id, row.run_at);
  } else {
    set_state(id, State::kAvailable, row.run_at);
  }
  if (any_rate_) rates_.set(id, Standing::kAvailable, row.run_at);
  freed.push_back(std::move(row));
  return true;
}

namespace {

constexpr int kAtOnce = 256;  // looked at for the sake of one whose rate lets it run

}  // namespace

void Limits::free_lane(const std::string& key, const Lane& lane,
                       std::vector<StoredRow>& freed, Time at) {
  const std::string rate_lane = Rates::lane(lane.queue, lane.kind, lane.priority);
  std::set<std::string> shut;  // rates whose window is full
  for (bool more = true; more;) {
    std::vector<std::pair<JobId, long long>> waiting;
    Line line = look({key, 0}, lane);
    if (line.lanes_apart) {  // be it that nobody claims there
      unreserve(key);
      line = look({key, 0}, lane);
    }
    long long ahead = line.running + (line.some_ask ? available(key, lane) : 0);
    ahead_ = ahead;
    most_ = any_rate_ ? kAtOnce : 1;
    pending_.rows([&] { waiting.emplace_back(to_id(id_), limit_); });
    std::size_t moved = 0;
    for (const auto& [id, limit] : waiting) {
      if (ahead >= limit) continue;
      const auto rate = any_rate_ ? rates_.find(id) : std::nullopt;
      if (!rate || (!shut.contains(rate->key) && !rates_.crowded(*rate, rate_lane, at))) {
        const Turn next = turn({key, limit}, lane, rate.has_value());
        if (next == Turn::kWaitsForLimit || !let_go(id, next, freed)) continue;
        ++ahead;
        ++moved;
        continue;
      }
      // It waits for that now, and whoever is behind it may run in its stead.
      shut.insert(rate->key);
      for (const auto& [job, row] : loader_.load({&id, 1})) {
        wait_for_window(job, row.run_at);
        ++moved;
      }
      waking_rates_.insert(rate->key);
    }
    more = moved > 0 && moved == waiting.size();
  }
}

void Limits::free_rated(const std::string& key, std::vector<StoredRow>& freed, Time at) {
  for (const std::string& lane : rates_.lanes(key)) {
    for (const auto& [id, rate] : rates_.waiting(key, lane, kAtOnce)) {
      if (rates_.crowded(rate, lane, at)) break;
      const auto limit = find(id);
      auto rows = loader_.load({&id, 1});
      for (const auto& [job, row] : rows) {
        const Turn next =
            limit ? turn(*limit, {row.queue, row.kind, row.priority}, true) : Turn::kAsks;
        if (next == Turn::kWaitsForLimit) {
          wait_for_limit(job, row.run_at);
        } else {
          let_go(job, next, freed);
        }
      }
      if (rows.empty()) rates_.drop(id);
    }
  }
}

std::vector<StoredRow> Limits::settle(Time at) {
  std::vector<StoredRow> freed;
  for (const std::string& key : touched_rates_) {
    free_rated(key, freed, at);
    waking_rates_.insert(key);
  }
  for (const std::string& key : touched_) {
    for (const Lane& lane : lanes_with_pending(key)) free_lane(key, lane, freed, at);
  }
  for (const std::string& key : waking_rates_) {
    if (!due_rates_.contains(key)) rates_.wake_in_time(key);
  }
  for (const std::string& key : due_rates_) rates_.looked_at(key, at);
  rollback();
  return freed;
}

}  // namespace carrel::sql::sqlite
