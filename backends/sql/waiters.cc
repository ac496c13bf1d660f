#include "waiters.h"

#include <carrel/demand.h>

#include <algorithm>

namespace carrel::sql {

Waiters::Deadline Waiters::deadline_after(Duration wait) {
  const Deadline now = std::chrono::steady_clock::now();
  // In the coarser unit, which cannot overflow.
  const auto left = std::chrono::duration_cast<Duration>(Deadline::max() - now);
  return wait >= left ? Deadline::max() : now + wait;
}

void Waiters::interrupt() noexcept {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  for (ClaimWaiter* claim : claims_) claim->wake_.notify_all();
  for (auto& [id, end] : ends_) end->wake_.notify_all();
}

void Waiters::work(std::span<const Lane> lanes) {
  const std::lock_guard lock(mutex_);
  ++works_;
  for (const Lane& lane : lanes) {
    std::size_t left = lane.jobs;
    std::list<ClaimWaiter*> woken;
    for (auto it = claims_.begin(); it != claims_.end() && left > 0;) {
      const auto claim = it++;
      if (!(*claim)->wants(lane)) continue;
      left -= std::min(left, most_of((*claim)->demand_, lane.queue));
      (*claim)->signal(lane);
      woken.splice(woken.end(), claims_, claim);
    }
    claims_.splice(claims_.end(), woken);
  }
}

std::vector<Lane> Waiters::announce(std::span<const Ticket> tickets) noexcept {
  std::vector<Lane> lanes;
  for (const Ticket& ticket : tickets) {
    const auto same = [&](const Lane& lane) {
      return lane.queue == ticket.queue && lane.kind == ticket.kind;
    };
    const auto lane = std::find_if(lanes.begin(), lanes.end(), same);
    if (lane == lanes.end()) {
      lanes.push_back({ticket.queue, ticket.kind});
    } else {
      ++lane->jobs;
    }
  }
  work(lanes);
  return lanes;
}

Waiters::Loan Waiters::lend(const Lane& lane) {
  const std::lock_guard lock(mutex_);
  for (auto it = claims_.begin(); it != claims_.end(); ++it) {
    ClaimWaiter* const claim = *it;
    if (claim->claiming_ == nullptr || claim->lent_ || claim->given_ ||
        !claim->signalled_.empty() || claim->interrupted() || !claim->wants(lane)) {
      continue;
    }
    claim->lent_ = true;
    claims_.splice(claims_.end(), claims_, it);
    return Loan(claim);
  }
  return {};
}

void Waiters::ended(std::span<const JobId> ids) {
  const std::lock_guard lock(mutex_);
  if (ends_.empty()) return;
  for (const JobId id : ids) {
    const auto [first, last] = ends_.equal_range(id);
    for (auto it = first; it != last; ++it) {
      it->second->signalled_ = true;
      it->second->wake_.notify_one();
    }
  }
}

void Waiters::look_again() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, end] : ends_) {
    end->signalled_ = true;
    end->wake_.notify_one();
  }
}

void Waiters::polled() {
  const std::lock_guard lock(mutex_);
  ++polls_;
}

bool Waiters::wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                   Deadline until, const std::function<bool()>& ready) {
  if (ready()) return true;
  if (until <= std::chrono::steady_clock::now()) return false;
  ++waiting_;
  lock.unlock();
  first_();
  lock.lock();
  bool came = true;
  if (until == Deadline::max()) {
    wake.wait(lock, ready);
  } else {
    came = wake.wait_until(lock, until, ready);
  }
  --waiting_;
  return came;
}

bool Waiters::ClaimWaiter::wants(const Lane& lane) const {
  const auto names = [](std::span<const std::string> all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  return (demand_.queues.empty() || names(demand_.queues, lane.queue)) &&
         names(demand_.kinds, lane.kind) && most_of(demand_, lane.queue) > 0;
}

void Waiters::ClaimWaiter::signal(const Lane& lane) {
  for (Lane& known : signalled_) {
    if (known.queue == lane.queue && known.kind == lane.kind) {
      known.jobs = std::max(known.jobs, lane.jobs);
      return;
    }
  }
  signalled_.push_back(lane);
  wake_.notify_one();
}

void Waiters::ClaimWaiter::enter(const Demand& demand) {
  const std::lock_guard lock(all_.mutex_);
  demand_ = demand;
  signalled_.clear();
  all_.claims_.push_back(this);
}

void Waiters::ClaimWaiter::leave(std::vector<Lane> leftover) {
  {
    const std::lock_guard lock(all_.mutex_);
    all_.claims_.remove(this);
    leftover.insert(leftover.end(), std::make_move_iterator(signalled_.begin()),
                    std::make_move_iterator(signalled_.end()));
    signalled_.clear();
    demand_ = {};
    if (leftover.empty() || all_.claims_.empty()) return;
  }
  all_.work(leftover);
}

std::optional<Lane> Waiters::ClaimWaiter::looking() {
  const std::lock_guard lock(all_.mutex_);
  std::optional<Lane> lone;
  if (signalled_.size() == 1) lone = std::move(signalled_.front());
  signalled_.clear();
  works_seen_ = all_.works_;
  vain_.reset();
  return lone;
}

void Waiters::ClaimWaiter::found_nothing() {
  const std::lock_guard lock(all_.mutex_);
  vain_ = Look{{demand_.queues.begin(), demand_.queues.end()},
               {demand_.kinds.begin(), demand_.kinds.end()},
               {demand_.bounds.begin(), demand_.bounds.end()},
               works_seen_,
               all_.polls_};
}

bool Waiters::ClaimWaiter::looks_in_vain() {
  const auto same_bound = [](const QueueBound& a, const QueueBound& b) {
    return a.queue == b.queue && a.most == b.most;
  };
  const std::lock_guard lock(all_.mutex_);
  const bool vain =
      vain_ && vain_->works == all_.works_ && vain_->polls != all_.polls_ &&
      std::ranges::is_permutation(vain_->queues, demand_.queues) &&  // they take turns
      std::ranges::equal(vain_->kinds, demand_.kinds) &&
      std::ranges::equal(vain_->bounds, demand_.bounds, same_bound);
  if (vain) vain_->polls = all_.polls_;
  return vain;
}

bool Waiters::ClaimWaiter::wait(Deadline until, const Claiming* claiming) {
  std::unique_lock lock(all_.mutex_);
  claiming_ = claiming;
  const bool came = all_.wait(lock, wake_, until, [&] {
    return !lent_ && (given_ || !signalled_.empty() || interrupted());
  });
  // Whoever has it answers within the time of a call.
  wake_.wait(lock, [&] { return !lent_; });
  claiming_ = nullptr;
  return came && !interrupted();
}

std::optional<Result<std::vector<Claimed>>> Waiters::ClaimWaiter::take_given(
    std::vector<Lane>& leftover) {
  const std::lock_guard lock(all_.mutex_);
  if (!given_) return std::nullopt;
  leftover = std::move(given_->leftover);
  auto jobs = std::move(given_->jobs);
  given_.reset();
  vain_.reset();
  return jobs;
}

void Waiters::ClaimWaiter::interrupt() noexcept {
  const std::lock_guard lock(all_.mutex_);
  interrupted_ = true;
  wake_.notify_all();
}

Waiters::Loan& Waiters::Loan::operator=(Loan&& other) noexcept {
  if (this != &other) {
    end(std::nullopt);
    claim_ = std::exchange(other.claim_, nullptr);
  }
  return *this;
}

void Waiters::Loan::give(std::vector<Claimed> jobs, std::vector<Lane> leftover) {
  end(ClaimWaiter::Given{std::move(jobs), std::move(leftover)});
}

void Waiters::Loan::fail(const Error& error) {
  end(ClaimWaiter::Given{tl::unexpected(error), {}});
}

void Waiters::Loan::end(std::optional<ClaimWaiter::Given> given) noexcept {
  ClaimWaiter* const claim = std::exchange(claim_, nullptr);
  if (claim == nullptr) return;
  const std::lock_guard lock(claim->all_.mutex_);
  claim->lent_ = false;
  claim->given_ = std::move(given);
  // Under the lock: once it hears, the claim may go.
  claim->wake_.notify_one();
}

Waiters::EndWaiter::EndWaiter(Waiters& all, std::span<const JobId> ids)
    : all_(all), ids_(ids.begin(), ids.end()) {
  const std::lock_guard lock(all_.mutex_);
  for (const JobId id : ids_) all_.ends_.emplace(id, this);
}

Waiters::EndWaiter::~EndWaiter() {
  const std::lock_guard lock(all_.mutex_);
  for (const JobId id : ids_) {
    const auto [first, last] = all_.ends_.equal_range(id);
    for (auto it = first; it != last; ++it) {
      if (it->second == this) {
        all_.ends_.erase(it);
        break;
      }
    }
  }
}

void Waiters::EndWaiter::looking() {
  const std::lock_guard lock(all_.mutex_);
  signalled_ = false;
}

bool Waiters::EndWaiter::wait(Deadline until) {
  std::unique_lock lock(all_.mutex_);
  return all_.wait(lock, wake_, until, [&] { return signalled_ || all_.interrupted_; }) &&
         !all_.interrupted_;
}

}  // namespace carrel::sql
