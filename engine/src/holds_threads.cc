// What holds need beside those who call: claims for who waits, beats, and the fence.
#include <algorithm>
#include <system_error>
#include <utility>

#include "finish.h"
#include "holds.h"
#include "lease_time.h"
#include "threads.h"

namespace carrel {
namespace {

using std::chrono::duration_cast;

constexpr std::size_t kSweep = 1000;

}  // namespace

std::uint64_t Holds::begin_claim() {
  claiming_.insert(++last_claim_);
  return last_claim_;
}

// What it gave is registered by now, so that the next beat names it.
void Holds::end_claim(std::uint64_t number, bool answered) {
  claiming_.erase(number);
  if (answered) return;
  lost_claim_ = std::max(lost_claim_, number);
  lost_until_ = boot_time() + setup_.lease;
  wake_thread();
}

void Holds::grant(const Claimed& claimed) {
  const Json payload = Json::parse(claimed.payload, nullptr, false);
  const std::uint64_t number =
      payload.is_object() ? payload.value("hold", std::uint64_t{0}) : 0;
  const auto it = waiting_.find(number);
  if (it == waiting_.end()) {  // nobody waits for it any more
    const auto place = std::make_shared<Place>();
    place->number = ++places_;
    place->lease = claimed.lease;
    place->renewed = claimed.granted;
    place->ended = true;
    held_.emplace(place->number, place);
    rests_.push_back({finish_of(claimed.lease, Verdict::kCancelled), place});
    return;
  }
  const PlacePtr place = it->second;
  waiting_.erase(it);
  if (std::exchange(place->queued, false)) --queued_;
  place->lease = claimed.lease;
  place->renewed = claimed.granted;
  place->granted = true;
  held_.emplace(number, place);
  place->changed.notify_all();
}

Result<void> Holds::start_threads() {
  if (closing_) return {};
  try {
    if (!thread_.joinable()) thread_ = named_thread("carrel-hold", [this] { work(); });
    if (!guard_.joinable()) guard_ = named_thread("carrel-fence", [this] { guard(); });
  } catch (const std::system_error& e) {
    return fail(Code::kUnavailable, std::string("it cannot make a thread: ") + e.what());
  }
  return {};
}

void Holds::wake_thread() { wake_.notify_one(); }

bool Holds::idle() const {
  return queued_ == 0 && held_.empty() && rests_.empty() && lost_claim_ == 0;
}

bool Holds::refused() const { return away_ && is_refusal(*away_); }

void Holds::work() {
  Lock lock(mutex_);
  auto next_tick = Steady::now() + tick_;
  auto next_look = Steady::now();
  while (!closing_) {
    if (idle()) {
      wake_.wait(lock, [&] { return closing_ || !idle(); });
      next_tick = Steady::now() + tick_;
      continue;
    }
    if (queued_ > 0) {
      claim_for_all(lock, next_tick);
    } else {
      wake_.wait_until(lock, next_tick, [&] { return closing_ || queued_ > 0; });
    }
    if (Steady::now() < next_tick) continue;
    next_tick = Steady::now();
    next_tick += beat(lock);
    end_rests(lock);
    if (queued_ == 0 || Steady::now() < next_look) continue;
    next_look = Steady::now() + setup_.poll;
    look_around(lock);
  }
}

Result<std::vector<Claimed>> Holds::claim(const Demand& demand, std::uint64_t number,
                                          Duration wait) {
  if (source_) return source_->claim(demand, worker_, number, setup_.lease, wait);
  const auto tickets = store_.peek(demand);
  if (!tickets) return tl::unexpected<Error>(tickets.error());
  std::vector<Claimed> claimed;
  if (tickets->empty()) return claimed;
  const Duration asked = boot_time();
  auto answers = store_.claim(*tickets, worker_, number, setup_.lease);
  if (!answers) return tl::unexpected<Error>(std::move(answers.error()));
  for (auto& answer : *answers) {
    if (!answer) continue;
    answer->granted = asked;
    claimed.push_back(std::move(*answer));
  }
  return claimed;
}

void Holds::claim_for_all(Lock& lock, Steady::time_point until) {
  const std::uint64_t number = begin_claim();
  const Demand demand{queues_, kinds_, queued_};
  lock.unlock();
  const auto wait = duration_cast<Duration>(until - Steady::now());
  const auto claimed = claim(demand, number, std::max(wait, Duration{0}));
  lock.lock();
  if (claimed) {
    away_.reset();
    for (const Claimed& one : *claimed) grant(one);
  } else {
    away_ = claimed.error();
    for (const auto& [waiting, place] : waiting_) place->changed.notify_all();
  }
  end_claim(number, claimed.has_value());
  if (!rests_.empty()) end_rests(lock);
  // A claim that did not wait by itself.
  if (!claimed || (!source_ && claimed->empty())) {
    wake_.wait_until(lock, until, [&] { return closing_; });
  }
}

Duration Holds::beat(Lock& lock) {
  if (held_.empty() && lost_claim_ == 0) return tick_;
  const std::uint64_t settled = claiming_.empty() ? last_claim_ : *claiming_.begin() - 1;
  const Duration now = boot_time();
  std::vector<PlacePtr> places;
  std::vector<Beat> beats;
  bool renew = false;
  for (const auto& [number, place] : held_) {
    places.push_back(place);
    beats.emplace_back().lease = place->lease;
    renew = renew || now - place->renewed >= setup_.lease / 3 - setup_.beat;
  }
  lock.unlock();
  const auto answers = store_.beat(worker_, settled, beats, renew, setup_.lease);
  lock.lock();
  if (!answers) {
    // Nobody hears of it any more, and that lease is over.
    if (is_refusal(answers.error()) && now >= lost_until_) lost_claim_ = 0;
    return tick_;
  }
  if (lost_claim_ <= settled && now >= lost_until_) lost_claim_ = 0;
  Duration next = tick_;
  for (std::size_t i = 0; i < places.size(); ++i) {
    Place& place = *places[i];
    const Pulse pulse = (*answers)[i];
    const bool alive = pulse == Pulse::kAlive || pulse == Pulse::kCancel;
    if (alive && renew) place.renewed = now;
    if (place.ended || place.told) continue;
    if (pulse == Pulse::kHeld) {
      if (renew) next = std::min(next, look_again(setup_.lease));
    } else if (pulse != Pulse::kAlive) {
      place.told = true;
      teller_.tell(place.lost);
    }
  }
  return next;
}

void Holds::end_rests(Lock& lock) {
  if (rests_.empty()) return;
  auto rests = std::exchange(rests_, {});
  std::vector<Finish> finishes;
  for (const Rest& rest : rests) finishes.push_back(rest.finish);
  lock.unlock();
  auto answers = store_.finish(finishes);
  std::vector<Ticket> freed;
  for (auto& answer : answers) {
    if (answer)
      std::move(answer->freed.begin(), answer->freed.end(), std::back_inserter(freed));
  }
  if (!freed.empty()) setup_.publish(std::move(freed));
  lock.lock();
  for (std::size_t i = 0; i < rests.size(); ++i) {
    if (!answers[i] && !is_refusal(answers[i].error())) {
      rests_.push_back(std::move(rests[i]));
    } else {
      held_.erase(rests[i].place->number);
    }
  }
}

// What workers do as well, where there are any: leases of the dead end. And rows that
// somebody cancelled, or that were swept away while this process slept.
void Holds::look_around(Lock& lock) {
  std::map<JobId, PlacePtr> queued;
  std::vector<JobId> ids;
  for (const auto& [number, place] : waiting_) {
    if (!place->queued) continue;
    queued.emplace(place->id, place);
    ids.push_back(place->id);
  }
  lock.unlock();
  auto swept = store_.sweep(kSweep);
  if (swept && !swept->due.empty()) setup_.publish(std::move(swept->due));
  const auto final_ones = store_.await_final(ids, Duration{0});
  lock.lock();
  if (!final_ones) return;
  for (const JobId id : *final_ones) {
    const PlacePtr& place = queued.at(id);
    if (place->granted || place->id != id) continue;
    place->gone = true;
    place->changed.notify_all();
  }
}

void Holds::guard() {
  Lock lock(mutex_);
  const Duration step = std::min(tick_, look_again(setup_.lease));
  while (!closing_) {
    if (held_.empty()) {
      guard_wake_.wait(lock, [&] { return closing_ || !held_.empty(); });
      continue;
    }
    guard_wake_.wait_for(lock, step, [&] { return closing_; });
    std::vector<PlacePtr> tell;
    for (const auto& [number, place] : held_) {
      if (place->ended || place->told || !fenced(place->renewed, setup_.lease)) continue;
      place->told = true;
      tell.push_back(place);
    }
    teller_.tend();
    if (tell.empty()) continue;
    lock.unlock();
    for (const auto& place : tell) {
      setup_.log(LogLevel::kWarn,
                 "hold " + std::to_string(value(place->lease.id)) +
                     ": its lease could not be renewed; it is told to stop");
      teller_.tell(place->lost);
    }
    lock.lock();
  }
}

}  // namespace carrel
