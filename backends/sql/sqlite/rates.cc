#include "rates.h"

#include <algorithm>

#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

Rates::Rates(soci::session& session)
    : add_(session, statements::kAddRated, use(id_, "job"), use(key_, "key"),
           use(starts_, "starts"), use(period_, "period"),
           use(state_.value, state_.indicator, "state"), use(lane_, "lane"),
           use(run_at_, "run_at")),
      drop_(session, statements::kDropRated, use(id_, "job")),
      find_(session, statements::kFindRated, use(id_, "job"), into(key_), into(starts_),
            into(period_)),
      find_available_(session, statements::kFindAvailableRated, use(ids_, "ids"),
                      into(id_), into(key_), into(starts_), into(period_)),
      set_(session, statements::kSetRated, use(state_.value, state_.indicator, "state"),
           use(run_at_, "run_at"), use(id_, "job")),
      counted_(session, statements::kCountStarts, use(key_, "key"), use(at_, "after"),
               into(number_)),
      available_(session, statements::kCountAvailableOfRate, use(key_, "key"),
                 use(lane_, "lane"), into(number_)),
      newest_(session, statements::kNewestStart, use(key_, "key"), use(most_, "newer"),
              into(at_)),
      start_(session, statements::kAddStart, use(key_, "key"), use(at_, "at"),
             use(id_, "job"), use(fence_, "fence")),
      take_back_(session, statements::kTakeStartBack, use(key_, "key"), use(at_, "at"),
                 use(id_, "job"), use(fence_, "fence")),
      next_lane_(session, statements::kNextLaneOfRate, use(key_, "key"),
                 use(lane_, "lane"), into(lane_)),
      waiting_(session, statements::kWaitingOfRate, use(key_, "key"), use(lane_, "lane"),
               use(most_, "most"), into(id_), into(starts_), into(period_)),
      wake_(session, statements::kWakeRate, use(key_, "key"), use(period_, "period"),
            use(at_, "wake_at")),
      due_(session, statements::kDueRates, use(at_, "now"), use(most_, "most"),
           into(key_)),
      period_of_(session, statements::kPeriodOfRate, use(key_, "key"), into(period_)),
      forget_(session, statements::kForgetStarts, use(key_, "key"), use(at_, "until")),
      any_start_(session, statements::kAnyStart, use(key_, "key"), into(at_)),
      any_job_(session, statements::kAnyOfRate, use(key_, "key"), into(id_)),
      set_wake_(session, statements::kSetRateWake, use(at_, "wake_at"), use(key_, "key")),
      drop_key_(session, statements::kDropRateKey, use(key_, "key")),
      next_(session, statements::kNextRate, into(at_)) {}

std::string Rates::lane(const std::string& queue, const std::string& kind, int priority) {
  constexpr char kBetween = '\x1f';  // a name has no control characters
  return queue + kBetween + kind + kBetween + std::to_string(priority);
}

namespace {

std::optional<long long> column(std::optional<Standing> standing) {
  return standing ? std::optional(static_cast<long long>(*standing)) : std::nullopt;
}

long long column(Time at) { return at.time_since_epoch().count(); }

// How long a key is not looked at of which nothing is counted.
constexpr Duration kQuiet = std::chrono::hours(1);

}  // namespace

void Rates::add(JobId id, const Rate& rate, const std::string& lane,
                std::optional<Standing> standing, long long run_at, Time at) {
  id_ = to_column(id);
  key_ = rate.key;
  starts_ = rate.starts;
  period_ = rate.period.count();
  state_.set(column(standing));
  lane_ = lane;
  run_at_ = run_at;
  add_.run();
  at_ = column(at + rate.period);
  wake_.run();  // from here on starts are kept for as long as this job counts them
}

void Rates::drop(JobId id) {
  id_ = to_column(id);
  drop_.run();
}

std::optional<Rate> Rates::find(JobId id) {
  id_ = to_column(id);
  if (!find_.run()) return std::nullopt;
  return Rate{key_, static_cast<std::uint32_t>(starts_), Duration(period_)};
}

std::unordered_map<JobId, Rate> Rates::find_available(std::span<const JobId> ids) {
  std::unordered_map<JobId, Rate> found;
  ids_ = json_array(ids);
  find_available_.rows([&] {
    found.emplace(to_id(id_),
                  Rate{key_, static_cast<std::uint32_t>(starts_), Duration(period_)});
  });
  return found;
}

void Rates::set(JobId id, std::optional<Standing> standing, Time run_at) {
  id_ = to_column(id);
  state_.set(column(standing));
  run_at_ = column(run_at);
  set_.run();
}

bool Rates::full(const Rate& rate, Time at, long long more) {
  if (more >= rate.starts) return true;
  key_ = rate.key;
  at_ = column(at - rate.period);
  counted_.run();
  return number_ + more >= rate.starts;
}

long long Rates::available(const std::string& key, const std::string& lane) {
  key_ = key;
  lane_ = lane;
  available_.run();
  return number_;
}

bool Rates::crowded(const Rate& rate, const std::string& lane, Time at) {
  return full(rate, at, available(rate.key, lane));
}

bool Rates::others_wait(const std::string& key, const std::string& lane) {
  return !waiting(key, lane, 1).empty();
}

void Rates::start(const Lease& lease, const Rate& rate, Time at) {
  key_ = rate.key;
  at_ = column(at);
  id_ = to_column(lease.id);
  fence_ = to_column(lease.fence);
  start_.run();
  period_ = rate.period.count();
  at_ += period_;
  wake_.run();  // to be forgotten
}

void Rates::take_back(const Lease& lease, const std::string& key, Time started) {
  key_ = key;
  at_ = column(started);
  id_ = to_column(lease.id);
  fence_ = to_column(lease.fence);
  take_back_.run();
}

std::vector<std::string> Rates::lanes(const std::string& key) {
  std::vector<std::string> lanes;
  key_ = key;
  lane_.clear();
  while (next_lane_.run()) lanes.push_back(lane_);
  return lanes;
}

std::vector<Rates::Waiting> Rates::waiting(const std::string& key,
                                           const std::string& lane, std::size_t most) {
  std::vector<Waiting> waiting;
  key_ = key;
  lane_ = lane;
  most_ = static_cast<long long>(most);
  waiting_.rows([&] {
    waiting.push_back(
        {to_id(id_), Rate{key, static_cast<std::uint32_t>(starts_), Duration(period_)}});
  });
  return waiting;
}

// When the first of those that wait has room; kNever: not by time alone.
Time Rates::opens(const std::string& key) {
  Time first = kNever;
  for (const std::string& lane : lanes(key)) {
    const auto best = waiting(key, lane, 1);
    if (best.empty()) continue;
    const Rate& rate = best.front().rate;
    const long long ahead = available(key, lane);
    if (ahead >= rate.starts) continue;  // one of those must move first
    key_ = key;
    most_ = rate.starts - ahead - 1;
    first = std::min(first, newest_.run() ? to_time(at_) + rate.period : Time{});
  }
  return first;
}

// That the key is looked at in time to forget what began is said as that is written.
void Rates::wake_in_time(const std::string& key) {
  const Time wake = opens(key);
  if (wake == kNever) return;
  key_ = key;
  period_ = 0;
  at_ = column(wake);
  wake_.run();
}

std::vector<std::string> Rates::due(Time at, std::size_t most) {
  std::vector<std::string> keys;
  at_ = column(at);
  most_ = static_cast<long long>(most);
  due_.rows([&] { keys.push_back(key_); });
  return keys;
}

void Rates::looked_at(const std::string& key, Time at) {
  key_ = key;
  if (!period_of_.run()) return;
  const Duration longest(period_);
  at_ = column(at - longest);
  forget_.run();
  const bool starts = any_start_.run();
  if (!starts && !any_job_.run()) {
    drop_key_.run();
    return;
  }
  // Its jobs, be they final, may come again: the period that they have named stays.
  const Time wake =
      std::min(opens(key), at + (starts ? longest : std::max(longest, kQuiet)));
  key_ = key;
  at_ = column(wake);
  set_wake_.run();
}

Time Rates::next() { return next_.run() ? to_time(at_) : kNever; }

}  // namespace carrel::sql::sqlite
