#include "holds.h"

#include <carrel/hold.h>

#include <algorithm>
#include <utility>

#include "finish.h"
#include "lease_time.h"
#include "threads.h"
#include "worker.h"

namespace carrel {
namespace {

using std::chrono::duration_cast;

constexpr Duration kYear = std::chrono::hours(24 * 365);
// Rows of who died waiting are swept away at last; who waits longer asks again.
constexpr Duration kLongestRow = std::chrono::hours(24);

// "host:1:ab" → "ab".
std::string tail_of(const std::string& worker) {
  return worker.substr(worker.rfind(':') + 1);
}

tl::unexpected<Error> failure(Code code, const Limit& limit, std::string why) {
  return fail(code, "hold(\"" + limit.key + "\"): " + std::move(why), "hold");
}

}  // namespace

void drop_holds(std::vector<Ticket>& tickets) {
  std::erase_if(tickets, [](const Ticket& ticket) { return is_hold(ticket.kind); });
}

Finish Holds::finish_of(const Lease& lease, Verdict verdict) {
  Finish finish;
  finish.lease = lease;
  finish.verdict = verdict;
  return finish;
}

Holds::Holds(Store& store, Setup setup)
    : store_(store),
      setup_(std::move(setup)),
      worker_(make_worker_id()),
      queues_{std::string(kHoldQueue)},
      kinds_{std::string(kHoldKind) + tail_of(worker_)},
      tick_(std::max(setup_.beat * 9 / 10, Duration{1000})),
      source_(store.claim_source()) {}

Holds::~Holds() { close(); }

void Holds::close() {
  if (door_->closed()) return;
  door_->close();
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    for (const auto& [number, place] : waiting_) place->changed.notify_all();
  }
  if (source_) source_->interrupt();
  door_->wait_empty();
  wake_.notify_all();
  guard_wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (guard_.joinable()) guard_.join();
  teller_.close(false);  // who listens may hold on
  source_.reset();
  for (const auto& [number, place] : held_) {
    if (!place->ended) place->lost.request_stop();
  }
  if (rests_.empty()) return;
  std::unique_lock lock(mutex_);
  end_rests(lock);
  if (!rests_.empty()) {
    setup_.log(LogLevel::kWarn, std::to_string(rests_.size()) +
                                    " holds could not be ended while the store was away: "
                                    "their places come free when their leases end");
  }
}

void Holds::interrupt() {
  const std::lock_guard lock(mutex_);
  ++interrupts_;
  for (const auto& [number, place] : waiting_) place->changed.notify_all();
}

Result<void> Holds::hold(const Limit& limit, const Run& run, Duration wait,
                         const std::stop_token& stop) {
  if (stop.stop_requested())
    return failure(Code::kCancelled, limit, "the caller gave up");
  Visit visit(door_);
  if (!visit.inside()) return failure(Code::kCancelled, limit, "the engine ends");
  const auto until = Steady::now() + std::clamp(wait, Duration{0}, kYear);
  const auto place = std::make_shared<Place>();
  {
    const std::lock_guard lock(mutex_);
    if (auto ok = start_threads(); !ok) {
      return failure(ok.error().code, limit, std::move(ok.error().message));
    }
    place->interrupts = interrupts_;
    if (refused()) away_.reset();  // of another: this one is to ask, too
  }
  {
    const std::stop_callback wake(stop, [&] {
      const std::lock_guard lock(mutex_);
      place->given_up = true;
      place->changed.notify_all();
    });
    if (auto ok = enter(place, limit, until); !ok) return ok;
  }
  visit.leave();
  try {
    run(place->lost.get_token());
  } catch (...) {
    if (visit.enter()) std::ignore = leave(place);
    throw;
  }
  if (!visit.enter()) {
    return failure(Code::kStale, limit,
                   "the engine ended first: its place comes free when its lease ends");
  }
  if (auto ok = leave(place); !ok) {
    return failure(ok.error().code, limit, std::move(ok.error().message));
  }
  return {};
}

Result<Inserted> Holds::insert(const PlacePtr& place, const Limit& limit, Duration wait) {
  NewJob row;
  row.queue = queues_.front();
  row.kind = kinds_.front();
  row.max_attempts = 1;
  row.limit = limit;
  row.start_within = std::min(wait + setup_.lease, kLongestRow);
  {
    const std::lock_guard lock(mutex_);
    place->number = ++places_;
    place->gone = false;
    waiting_.emplace(place->number, place);
  }
  row.payload = Json{{"hold", place->number}}.dump();
  const auto deadline =
      std::clamp<Duration>(wait, std::chrono::seconds(1), std::chrono::seconds(30));
  auto inserted = std::move(store_.insert({&row, 1}, deadline).front());
  const std::lock_guard lock(mutex_);
  if (!inserted) {
    waiting_.erase(place->number);
  } else {
    place->id = inserted->id;
  }
  return inserted;
}

Result<void> Holds::enter(const PlacePtr& place, const Limit& limit,
                          Steady::time_point until) {
  while (true) {
    const auto left = [&] {
      return std::max(Duration{0}, duration_cast<Duration>(until - Steady::now()));
    };
    auto row = insert(place, limit, left());
    if (!row) return failure(row.error().code, limit, std::move(row.error().message));
    const bool coming = row->ticket && claim_now(*row->ticket);

    Lock lock(mutex_);
    if (!place->granted) {
      place->queued = true;
      ++queued_;
      wake_thread();
      // Where the thread was quicker it is on its way, however short the wait is.
      const auto end = coming ? std::max(until, Steady::now() + tick_) : until;
      place->changed.wait_until(lock, end, [&] {
        return place->granted || place->gone || place->given_up || closing_ ||
               refused() || interrupts_ != place->interrupts;
      });
    }
    if (!place->granted) {
      auto why = give_up(lock, place, limit);
      if (why) continue;  // there is time for another row
      return why;
    }
    if (!fenced(place->renewed, setup_.lease)) {
      wake_thread();
      guard_wake_.notify_one();
      return {};
    }
    // The answer took nearly as long as the lease.
    place->ended = true;
    rests_.push_back({finish_of(place->lease, Verdict::kCancelled), place});
    wake_thread();
    return failure(Code::kUnavailable, limit, "the store answered too late");
  }
}

bool Holds::claim_now(const Ticket& ticket) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = begin_claim();
  }
  const Duration asked = boot_time();
  auto answers = store_.claim({&ticket, 1}, worker_, number, setup_.lease);
  const std::lock_guard lock(mutex_);
  const bool answered = answers.has_value();
  if (answered && answers->front()) {
    answers->front()->granted = asked;
    grant(*answers->front());
  }
  end_claim(number, answered);
  if (answered) {
    away_.reset();
  } else {
    away_ = answers.error();
  }
  return answered && !answers->front() && answers->front().error() == Refusal::kGone;
}

// Nothing: the row was swept away before its time, and is to be made again.
Result<void> Holds::give_up(Lock& lock, const PlacePtr& place, const Limit& limit) {
  waiting_.erase(place->number);
  if (std::exchange(place->queued, false)) --queued_;
  const bool gone = place->gone;
  const bool stopped = closing_ || interrupts_ != place->interrupts;
  const bool given_up = place->given_up;
  const auto away = away_;
  const JobId id = place->id;
  lock.unlock();
  if (gone && !stopped && !given_up) {
    const auto row = store_.monitor().job(id);
    if (row && row->state == State::kCancelled) {
      return failure(Code::kCancelled, limit, "somebody cancelled it");
    }
    return {};
  }
  if (!gone) {
    // If it is being granted at this moment, whoever does so finds that nobody waits.
    std::ignore = store_.cancel({&id, 1});
  }
  if (stopped) return failure(Code::kCancelled, limit, "the engine stops");
  if (given_up) return failure(Code::kCancelled, limit, "the caller gave up");
  if (away) {
    const Code code = is_refusal(*away) ? away->code : Code::kUnavailable;
    return failure(code, limit, away->message);
  }
  return failure(Code::kTimeout, limit,
                 "its place did not come: " + std::to_string(limit.running) +
                     (limit.running == 1 ? " runs" : " run") + " all the time");
}

Result<void> Holds::leave(const PlacePtr& place) {
  {
    const std::lock_guard lock(mutex_);
    place->ended = true;
  }
  const Finish finish = finish_of(place->lease, Verdict::kCompleted);
  auto answer = std::move(store_.finish({&finish, 1}).front());
  bool held_all_through = false;
  {
    const std::lock_guard lock(mutex_);
    if (!answer && !is_refusal(answer.error())) {
      held_all_through = !fenced(place->renewed, setup_.lease);
      rests_.push_back({finish, place});
      wake_thread();
    } else {
      held_.erase(place->number);
    }
  }
  if (answer) {
    if (!answer->freed.empty()) setup_.publish(std::move(answer->freed));
    if (answer->kind != Finished::Kind::kStale) return {};
    return fail(Code::kStale,
                "the place was lost before it was left: another may have run "
                "beside the end");
  }
  if (held_all_through) return {};
  return fail(Code::kStale, "the place may have been lost before it was left: " +
                                answer.error().message);
}

}  // namespace carrel
