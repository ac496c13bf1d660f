#include "feed.h"

#include <algorithm>

#include "threads.h"

namespace carrel {

namespace {
constexpr Duration kFirstBackoff = std::chrono::milliseconds(50);
constexpr Duration kLastBackoff = std::chrono::seconds(5);
}  // namespace

Feed::Feed(WorkerSource& source, Runner& runner, Setup setup, StoreStatus& status)
    : source_(source),
      runner_(runner),
      setup_(std::move(setup)),
      status_(status),
      serves_(!setup_.store_blocks),
      teller_(serves_ ? source.teller() : nullptr),
      backoff_(kFirstBackoff) {}

Feed::~Feed() { stop(); }

void Feed::start() {
  if (serves_) runner_.on_room([this] { serve(); });
  if (runner_.slots().any()) runner_.on_queue_room([this] { nudge(); });
  if (teller_ != nullptr) teller_->tell([this] { told(); });
  thread_ = named_thread("carrel-feed", [this] {
    if (serves_) {
      work_when_dry();
    } else {
      work();
    }
  });
}

Result<std::size_t> Feed::pull(std::size_t max, Duration wait) {
  const std::uint64_t number = ++number_;
  // Said before the slots are counted: whoever gives one back later sees it.
  if (runner_.slots().any()) waits_bounded_ = wait > Duration{0};
  const std::vector<QueueBound> bounds = runner_.slots().left();
  const auto kinds = demanded();
  if (kinds.empty()) {
    settled_ = number;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, wait, [&] { return stopping_; });
    return 0;
  }
  const Demand demand{setup_.turns.next(), kinds, max, setup_.turns.in_order(), bounds};
  auto jobs = source_.claim(demand, setup_.worker, number, setup_.lease, wait);
  if (!jobs) {
    settled_ = number;
    lost_ = true;  // after it: the beat that hears of it names this number
    return tl::unexpected<Error>(std::move(jobs.error()));
  }
  const std::size_t count = jobs->size();
  if (count > 0) runner_.launch(std::move(*jobs));
  settled_ = number;  // after the launch: whoever reads it sees the leases too
  return count;
}

// Not those whose isolation can begin no run: others may.
std::span<const std::string> Feed::demanded() {
  const auto exhausted = [](const auto& of) { return of.second->exhausted(); };
  const auto& isolations = setup_.kinds.isolations;
  leaves_out_ = std::any_of(isolations.begin(), isolations.end(), exhausted);
  if (!leaves_out_) return setup_.kinds.names;
  some_kinds_.clear();
  for (const std::string& name : setup_.kinds.names) {
    if (!setup_.kinds.find(name)->isolation->exhausted()) some_kinds_.push_back(name);
  }
  return some_kinds_;
}

void Feed::tend() noexcept {
  if (!leaves_out_) return;
  for (const auto& [name, isolation] : setup_.kinds.isolations) {
    if (isolation->exhausted()) isolation->tend();
  }
  if (teller_ != nullptr) told();  // else the next claim looks, and none waits for long
}

// A queue has a slot again, and the claim that waits may have left it out.
void Feed::nudge() noexcept {
  if (teller_ != nullptr) {
    told();  // nobody waits in there
  } else if (waits_bounded_.exchange(false)) {
    source_.nudge();
  }
}

void Feed::work() {
  while (const std::size_t room = runner_.wait_for_room()) {
    const auto pulled = pull(room, setup_.wait);
    std::unique_lock lock(mutex_);
    if (pulled) {
      answered(*pulled);
      continue;
    }
    if (!back_off(lock, pulled.error())) return;
  }
}

// One that was interrupted is an empty answer, too, of no store.
void Feed::answered(std::size_t jobs) {
  if (jobs > 0 || !stopping_) status_.answered(StoreCall::kClaim, jobs > 0);
  backoff_ = kFirstBackoff;
}

bool Feed::back_off(std::unique_lock<std::mutex>& lock, const Error& error) {
  status_.failed(StoreCall::kClaim, error);
  wake_.wait_for(lock, backoff_, [&] { return stopping_; });
  backoff_ = std::min(backoff_ * 2, kLastBackoff);
  return !stopping_;
}

// Whoever makes room calls after it has made it, and whoever claims looks at the room
// after it has claimed, both under the lock: room is never left unseen.
void Feed::serve() noexcept {
  if (!serves_) return;
  std::unique_lock lock(mutex_);
  while (!stopping_ && !claiming_ && !dry_ && runner_.has_room()) {
    // Asked once for all: ends may fill the completer meanwhile, and a claim of nothing
    // says nothing about jobs, and is not remembered by a store that tells.
    const std::size_t room = runner_.room();
    if (room == 0) continue;  // who makes some sees that it is not dry
    claiming_ = true;
    told_ = false;
    lock.unlock();
    const auto pulled = pull(room, Duration{0});
    lock.lock();
    found(pulled, room);
    if (turn_ || stopping_) wake_.notify_all();
  }
}

void Feed::found(const Result<std::size_t>& pulled, std::size_t asked) {
  claiming_ = false;
  // A source that tells remembers a claim that it could not fill. Where queues are
  // bounded here, one that found some may have left out a queue whose slots came back
  // meanwhile.
  const bool filled_or_dry = teller_ != nullptr && !runner_.slots().any();
  dry_ = !pulled || (*pulled < (filled_or_dry ? asked : 1) && !told_);
  turn_ = dry_ && (!pulled || teller_ == nullptr);
}

void Feed::told() {
  {
    std::lock_guard lock(mutex_);
    told_ = true;
    if (!turn_) dry_ = false;  // else the thread waits out an error
  }
  serve();
}

void Feed::work_when_dry() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || (turn_ && !claiming_); });
    if (stopping_) return;
    const std::size_t room = runner_.room();
    turn_ = false;
    dry_ = false;
    if (room == 0) continue;  // who makes some sees that it is not dry
    claiming_ = true;
    told_ = false;
    lock.unlock();
    const auto pulled = pull(room, teller_ != nullptr ? Duration{0} : setup_.wait);
    lock.lock();
    found(pulled, room);
    if (!pulled) {
      if (!back_off(lock, pulled.error())) return;
      continue;
    }
    answered(*pulled);
    lock.unlock();
    serve();
    lock.lock();
  }
}

void Feed::close() noexcept {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  runner_.interrupt();
}

void Feed::stop() {
  close();
  source_.interrupt();
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return !claiming_; });
}

}  // namespace carrel
