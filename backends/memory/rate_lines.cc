#include "rate_lines.h"

#include <algorithm>

namespace carrel::memory {
namespace {

const RatePlace& place_of(const Row& row) { return *row.details->rate; }

}  // namespace

RateLine::Lane& RateLine::lane(const Row& row) {
  for (const auto& lane : lanes_) {
    if (lane->bucket == row.bucket) return *lane;
  }
  // A bucket without rows may be dropped, and another come to stand in its place.
  std::erase_if(lanes_, [](const auto& lane) {
    return lane->available == 0 && lane->pending.empty();
  });
  return *lanes_.emplace_back(std::make_unique<Lane>(row.bucket));
}

std::size_t RateLine::counted(Duration period, Time now) const {
  const auto first = std::upper_bound(starts_.begin(), starts_.end(), now - period);
  return static_cast<std::size_t>(starts_.end() - first);
}

bool RateLine::full_for(const Row& row, Time now) const {
  const RatePlace& place = place_of(row);
  return counted(place.period, now) >= place.starts;
}

bool RateLine::crowded_for(const Row& row, Time now) const {
  const RatePlace& place = place_of(row);
  std::size_t ahead = counted(place.period, now);
  for (const auto& lane : lanes_) {
    if (lane->bucket == row.bucket) ahead += lane->available;
  }
  return ahead >= place.starts;
}

bool RateLine::others_wait(const Row& row) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) {
    return lane->bucket == row.bucket && !lane->pending.empty();
  });
}

void RateLine::start(Time now) {
  // A clock may have been set back.
  starts_.insert(std::upper_bound(starts_.begin(), starts_.end(), now), now);
}

void RateLine::not_begun(Time at) {
  const auto start = std::lower_bound(starts_.begin(), starts_.end(), at);
  if (start != starts_.end() && *start == at) starts_.erase(start);
}

void RateLine::enter(Row& row) {
  if (row.rule.state == State::kAvailable) ++lane(row).available;
  if (row.waits_for_window()) lane(row).pending.insert(row);
}

void RateLine::leave(Row& row) {
  if (row.rule.state == State::kAvailable) --lane(row).available;
  if (row.waits_for_window()) lane(row).pending.erase(row);
}

Row* RateLine::next(Time now) const {
  for (const auto& lane : lanes_) {
    Row* row = lane->pending.front();
    if (row != nullptr && !crowded_for(*row, now)) return row;
  }
  return nullptr;
}

Time RateLine::opens(const Row& row, std::size_t ahead) const {
  const RatePlace& place = place_of(row);
  if (ahead >= place.starts) return kNever;  // one of those must move first
  const std::size_t last = place.starts - ahead;
  if (last > starts_.size()) return Time{};
  return starts_[starts_.size() - last] + place.period;
}

Time RateLine::opens() const {
  Time first = kNever;
  for (const auto& lane : lanes_) {
    const Row* row = lane->pending.front();
    if (row != nullptr) first = std::min(first, opens(*row, lane->available));
  }
  return first;
}

void RateLines::join(Row& row, const Rate& rate) {
  auto& line = lines_[rate.key];
  if (!line) line = std::make_unique<RateLine>(rate.key);
  row.more().rate = RatePlace{line.get(), rate.starts, rate.period};
  line->longest_ = std::max(line->longest_, rate.period);
  ++line->rows_;
}

RateLine* RateLines::part(Row& row) {
  RateLine* line = row.rate_line();
  if (line == nullptr) return nullptr;
  row.details->rate.reset();
  if (--line->rows_ > 0 || !line->starts_.empty()) return line;
  set_wake(*line, kNever);
  lines_.erase(line->key());
  return nullptr;
}

void RateLines::set_wake(RateLine& line, Time wake) {
  if (line.wake_ == wake) return;
  if (line.wake_ != kNever) timers_.erase({line.wake_, &line});
  line.wake_ = wake;
  if (wake != kNever) timers_.emplace(wake, &line);
}

// Only ever earlier: a line in constant use is not looked at for every start.
void RateLines::schedule(RateLine& line, Time now) {
  Time wake = line.opens();
  if (!line.starts_.empty()) wake = std::min(wake, now + line.longest_);
  if (wake < line.wake_) set_wake(line, wake);
}

RateLine* RateLines::due(Time now) const {
  return next() <= now ? timers_.begin()->second : nullptr;
}

void RateLines::forget(RateLine& line, Time now) {
  auto& starts = line.starts_;
  while (!starts.empty() && starts.front() <= now - line.longest_) starts.pop_front();
  set_wake(line, kNever);
  if (line.rows_ == 0 && starts.empty()) {
    lines_.erase(line.key());
  } else {
    schedule(line, now);
  }
}

}  // namespace carrel::memory
