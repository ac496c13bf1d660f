// Those that wait: for a job, a ticket, an end, or their time.
#include <algorithm>

#include "calls.h"

namespace carrel::zmq {
namespace {

constexpr std::uint32_t kSweepAtOnce = 1'000;

}  // namespace

void Calls::leave(const SessionPtr& session) {
  const auto calls = session->calls;  // answering takes them out
  for (const auto& [id, call] : calls) {
    call->over = true;
    if (call->can_end()) answer_empty(call);
  }
}

void Calls::spread(const News& news) {
  if (!news.available.empty()) {
    ++changes_;
    wake(takes_.call_for(news.available));
  }
  if (news.maybe_available) {
    ++changes_;
    wake(takes_.call_first());
  }
  for (const JobId id : news.ended) {
    AwaitAsk::Answer ended;
    ended.value = {id};
    for (const CallPtr& call : awaits_.of(id)) answer(call, encode(ended));
  }
  if (news.maybe_ended) look_again();
  if (news.due < options_.poll) {
    next_sweep_ = std::min(next_sweep_, Clock::now() + std::max(news.due, Duration{0}));
  }
}

void Calls::wake(const std::vector<CallPtr>& calls) {
  for (const CallPtr& call : calls) submit(call);
}

void Calls::wait(const CallPtr& call) {
  (call->type == Type::kTake ? takes_ : receives_).park(call);
  timers_.emplace(call->until, call);
}

void Calls::await(const CallPtr& call) {
  awaits_.add(call);
  timers_.emplace(call->until, call);
}

bool Calls::may_wait(const Call& call) const {
  return !stopping_ && !call.abandoned && call.until > Clock::now();
}

void Calls::answer_empty(const CallPtr& call) {
  switch (call->type) {
    case Type::kTake:
      answer(call, encode(Take::Answer{}));
      break;
    case Type::kAwait:
      answer(call, encode(AwaitAsk::Answer{}));
      break;
    case Type::kReceive: {
      const auto& m = std::get<ReceiveAsk>(call->request);
      ReceiveAsk::Answer none;
      none.value.backlog = tickets_.backlog(m.demand());
      answer(call, encode(none));
      break;
    }
    default:
      answer(call, error_frame({Code::kUnavailable, "this worker has given the claim up",
                                "zmq"}));
  }
}

void Calls::keep_time() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const CallPtr call = timers_.begin()->second;
    timers_.erase(timers_.begin());
    if (call->can_end()) answer_empty(call);
  }
  if (store_ == nullptr) return;
  repeats_.forget_old(now);
  if (now >= next_look_) {
    next_look_ = now + options_.poll;
    ++changes_;
    wake(takes_.call_first());
    look_again();
  }
  if (options_.sweep && !sweeping_ && now >= next_sweep_) {
    sweeping_ = true;
    SweepAsk sweep;
    sweep.max = kSweepAtOnce;
    submit_own(sweep);
  }
}

// Which of the jobs that somebody waits for have ended without the broker's knowledge?
void Calls::look_again() {
  if (looking_) {
    look_wanted_ = true;
    return;
  }
  look_wanted_ = false;
  if (awaits_.empty()) return;
  looking_ = true;
  AwaitAsk ask;
  ask.ids = awaits_.jobs();
  submit_own(std::move(ask));
}

Clock::time_point Calls::next_event() const {
  auto next = Clock::time_point::max();
  if (store_ != nullptr) next = std::min(next, next_look_);
  if (store_ != nullptr && options_.sweep && !sweeping_)
    next = std::min(next, next_sweep_);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  return next;
}

void Calls::tell(BrokerHealth& health) const {
  health.waiting = takes_.size() + receives_.size() + awaits_.size();
  health.in_flight = in_flight_;
  health.in_flight_bytes = in_flight_bytes_;
}

void Calls::shut_down() {
  stopping_ = true;
  for (const CallPtr& call : takes_.call_all()) answer_empty(call);
  for (const CallPtr& call : receives_.call_all()) answer_empty(call);
  for (const JobId id : awaits_.jobs()) {
    for (const CallPtr& call : awaits_.of(id)) answer_empty(call);
  }
  carry_out();
  lanes_.reset();
}

}  // namespace carrel::zmq
