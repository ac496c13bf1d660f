#include "server/rates.h"

#include <algorithm>
#include <utility>

namespace carrel::sql::server {

using soci::into;
using soci::use;

Rates::Rates(Session& session, const Statements& sql)
    : lines_(session, sql.end_rate_lines, sql.next_rate_line),
      add_(session, sql.add_rates, use(rows_, "rows")),
      set_(session, sql.set_rates, use(rows_, "rows")),
      start_(session, sql.add_starts, use(rows_, "rows")),
      take_back_(session, sql.take_start_back, use(key_, "rate_key"),
                 use(at_, "begun_at"), use(id_, "id"), use(fence_, "fence")),
      drop_(session, sql.drop_rate, use(id_, "id")),
      now_of_(session, sql.rates_now, use(at_, "now"), use(ids_, "ids"), into(id_),
              into(key_), into(starts_), into(period_), into(number_)),
      waiting_(session, sql.waiting_of_rate, use(key_, "rate_key"), use(lane_, "lane"),
               use(most_, "most"), into(id_), into(starts_), into(period_),
               into(limit_key_), into(limit_)),
      count_starts_(session, sql.count_starts, use(key_, "rate_key"), use(at_, "after"),
                    into(number_)),
      count_line_(session, sql.count_rate_line, use(key_, "rate_key"), use(lane_, "lane"),
                  into(number_)),
      newest_(session, sql.newest_start, use(key_, "rate_key"), use(most_, "newer"),
              into(at_)),
      wake_(session, sql.wake_rates, use(rows_, "rows")),
      due_(session, sql.due_rates, use(at_, "now"), use(most_, "most"), into(key_)),
      period_of_(session, sql.period_of_rate, use(key_, "rate_key"), into(period_)),
      forget_(session, sql.forget_starts, use(key_, "rate_key"), use(at_, "until")),
      in_use_(session, sql.rate_in_use, use(key_, "rate_key"), into(number_)),
      set_wake_(session, sql.set_rate_wake, use(at_, "wake_at"), use(key_, "rate_key")),
      drop_key_(session, sql.drop_rate_key, use(key_, "rate_key")) {}

namespace {

long long us(Time at) { return at.time_since_epoch().count(); }

// How long a key is not looked at of which nothing is counted.
constexpr Duration kQuiet = std::chrono::hours(1);

}  // namespace

void Rates::begin(Time now) {
  now_ = now;
  added_.take();
  noted_.take();
  started_.take();
  periods_.clear();
  forget_counts();
}

void Rates::add(JobId id, const Rate& rate, const std::string& lane, bool waits,
                Time run_at) {
  added_.row()
      .add("job", to_column(id))
      .add("run_at", us(run_at))
      .add("period", rate.period.count())
      .add("starts", rate.starts)
      .add_text("rate_key", rate.key)
      .add_text("lane", lane);
  if (waits) added_.add("state", static_cast<int>(Standing::kWaits));
  keep_for(rate);
  if (added_.full()) write();
}

// What begins is kept for as long as this one counts it.
void Rates::keep_for(const Rate& rate) {
  long long& period = periods_[rate.key];
  period = std::max<long long>(period, rate.period.count());
}

void Rates::note(JobId id, std::optional<Standing> standing, std::optional<Time> run_at) {
  noted_.row().add("job", to_column(id));
  if (standing) noted_.add("state", static_cast<int>(*standing));
  if (run_at) noted_.add("run_at", us(*run_at));
}

void Rates::start(const Lease& lease, const Rate& rate) {
  keep_for(rate);
  started_.row()
      .add_text("rate_key", rate.key)
      .add("at", us(now_))
      .add("job", to_column(lease.id))
      .add("fence", to_column(lease.fence));
}

void Rates::write() {
  forget_counts();
  if (!added_.empty()) {
    rows_ = added_.take();
    add_.run();
  }
  if (!noted_.empty()) {
    rows_ = noted_.take();
    set_.run();
  }
  if (!started_.empty()) {
    rows_ = started_.take();
    start_.run();
  }
  if (periods_.empty()) return;
  JsonRows rows;
  for (const auto& [key, period] : periods_) {
    rows.row()
        .add_text("rate_key", key)
        .add("period", period)
        .add("wake_at", us(now_) + period);
  }
  periods_.clear();
  rows_ = rows.take();
  wake_.run();
}

void Rates::drop(JobId id) {
  write();
  id_ = to_column(id);
  drop_.run();
}

void Rates::take_back(const Lease& lease, const std::string& key, Time started) {
  write();
  key_ = key;
  at_ = us(started);
  id_ = to_column(lease.id);
  fence_ = to_column(lease.fence);
  take_back_.run();
}

std::vector<Rates::Now> Rates::now(std::span<const JobId> ids) {
  std::vector<Now> found;
  if (ids.empty()) return found;
  at_ = us(now_);
  ids_ = json_array(ids);
  now_of_.rows([&] {
    found.push_back({to_id(id_),
                     Rate{key_, static_cast<std::uint32_t>(starts_), Duration(period_)},
                     number_});
  });
  return found;
}

std::vector<Rates::Waiting> Rates::waiting(const Line& line, std::size_t most) {
  std::vector<Waiting> waiting;
  key_ = line.key;
  lane_ = line.lane;
  most_ = static_cast<long long>(most);
  waiting_.rows([&] {
    waiting.push_back(
        {to_id(id_),
         Rate{line.key, static_cast<std::uint32_t>(starts_), Duration(period_)},
         limit_key_, limit_});
  });
  return waiting;
}

long long Rates::ahead(const Rate& rate, const std::string& lane) {
  const auto [begun, ask_begun] = begun_.try_emplace({rate.key, rate.period});
  const auto [available, ask_available] = available_.try_emplace({rate.key, lane});
  key_ = rate.key;
  if (ask_begun) {
    at_ = us(now_ - rate.period);
    count_starts_.run();
    begun->second = number_;
  }
  if (ask_available) {
    lane_ = lane;
    count_line_.run();
    available->second = number_;
  }
  return begun->second + available->second;
}

// When the best of a lane has room; kNever: not by time alone.
Time Rates::opens(const Line& line) {
  const auto best = waiting(line, 1);
  if (best.empty()) return kNever;
  const Rate& rate = best.front().rate;
  key_ = line.key;
  lane_ = line.lane;
  count_line_.run();
  if (number_ >= rate.starts) return kNever;  // one of those must move first
  most_ = rate.starts - number_ - 1;
  return newest_.run() ? to_time(at_) + rate.period : Time{};
}

void Rates::wake_in_time(const std::set<std::string>& keys) {
  if (keys.empty()) return;
  std::map<std::string, Time> wakes;
  for (const Line& line : waiting_lines(keys)) {
    const Time at = opens(line);
    if (at == kNever) continue;
    const auto [known, first] = wakes.emplace(line.key, at);
    if (!first) known->second = std::min(known->second, at);
  }
  if (wakes.empty()) return;  // the key's own time, to forget what began, is set already
  JsonRows rows;
  for (const auto& [key, at] : wakes) {
    rows.row().add_text("rate_key", key).add("period", 0).add("wake_at", us(at));
  }
  rows_ = rows.take();
  wake_.run();
}

std::vector<std::string> Rates::due(std::size_t most) {
  std::vector<std::string> keys;
  at_ = us(now_);
  most_ = static_cast<long long>(most);
  due_.rows([&] { keys.push_back(key_); });
  return keys;
}

void Rates::looked_at(const std::string& key) {
  key_ = key;
  if (!period_of_.run()) return;
  const Duration longest(period_);
  // Others count from when their transactions began, which may be before this one did.
  constexpr std::chrono::minutes kOldestTransaction{1};
  at_ = us(now_ - longest - kOldestTransaction);
  forget_.run();
  in_use_.run();
  if (number_ == 0) {
    drop_key_.run();
    return;
  }
  // Its jobs, be they final, may come again: the period that they have named stays.
  Time wake =
      now_ + (number_ == 2 ? longest + kOldestTransaction : std::max(longest, kQuiet));
  for (const Line& line : waiting_lines({key})) wake = std::min(wake, opens(line));
  key_ = key;
  at_ = us(wake);
  set_wake_.run();
}

}  // namespace carrel::sql::server
