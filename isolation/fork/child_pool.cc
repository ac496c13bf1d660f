#include "child_pool.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "fork_run.h"

namespace carrel::process {

std::shared_ptr<ChildPool> ChildPool::open(const std::shared_ptr<Channel>& channel,
                                           std::size_t warm, std::size_t used) {
  auto pool = std::make_shared<ChildPool>(channel, warm, used);
  channel->set_nursery(pool);
  std::lock_guard lock(pool->mutex_);
  pool->ask();
  return pool;
}

ChildPool::ChildPool(const std::shared_ptr<Channel>& channel, std::size_t warm,
                     std::size_t used)
    : channel_(channel),
      warm_(warm),
      most_used_(used),
      used_timer_(channel->context()),
      setback_timer_(channel->context()),
      leaving_timer_(channel->context()) {}

void ChildPool::start(std::span<const std::shared_ptr<ForkRun>> runs) {
  Refused refused;
  std::vector<Parcel> parcels;
  parcels.reserve(runs.size());
  {
    std::lock_guard lock(mutex_);
    for (const auto& run : runs) {
      int error = closed_ ? ESRCH : 0;
      if (error == 0) error = waiting_.empty() ? assign(run, parcels) : kNoRoom;
      if (error == kNoRoom) {
        run->place = ++last_place_;
        waiting_.emplace(run->place, run);
      } else if (error != 0) {
        refused.emplace_back(run, error);
      }
    }
    ask_for_children_of_jobs();
  }
  refuse(refused);
  for (Parcel& parcel : parcels) parcel.run->send(std::move(parcel));
  std::lock_guard lock(mutex_);
  if (fresh_.empty()) ask();
}

void ChildPool::refuse(const Refused& runs) {
  for (const auto& [run, error] : runs) {
    if (error == ESRCH) {
      run->lost();
    } else {
      run->refuse_resource(error);
    }
  }
}

bool ChildPool::withdraw(const ForkRun& run) {
  std::lock_guard lock(mutex_);
  return waiting_.erase(run.place) > 0;
}

void ChildPool::born() {
  {
    std::lock_guard lock(mutex_);
    unborn_ -= std::min(unborn_, kBirthsPerNote);
  }
  start_waiting();
}

void ChildPool::start_waiting() {
  Refused refused;
  std::vector<Parcel> parcels;
  {
    std::lock_guard lock(mutex_);
    while (!waiting_.empty()) {
      const auto first = waiting_.begin();
      const int error = assign(first->second, parcels);
      if (error == kNoRoom) break;
      if (error != 0) refused.emplace_back(std::move(first->second), error);
      waiting_.erase(first);
    }
    ask_for_children_of_jobs();
  }
  refuse(refused);
  for (Parcel& parcel : parcels) {
    const auto run = parcel.run;
    run->send(std::move(parcel));
    run->heed();
  }
  std::lock_guard lock(mutex_);
  ask();
}

// ESRCH: the server has died.
int ChildPool::assign(const std::shared_ptr<ForkRun>& run, std::vector<Parcel>& parcels) {
  WarmChild child;
  if (!pop_idle(run->kind(), child)) {
    if (unborn_ >= kMostUnborn) return kNoRoom;
    if (const int error = conceive(child)) return wait_or(error);
  }
  Parcel parcel;
  if (const int error = run->give(child, parcel)) {
    if (child.jobs == 0) {
      fresh_.push_front(std::move(child));
    } else {  // it is its kind's
      used_[run->kind()].push_front({std::move(child), Clock::now()});
      ++used_count_;
    }
    return wait_or(error);
  }
  // What is heard of the child before waits for this.
  if (!channel().attach(run)) return ESRCH;
  parcels.push_back(std::move(parcel));
  return 0;
}

// Of each child that is under way the server has an end, or will have: once enough are
// born to be told of, there are fewer.
int ChildPool::wait_or(int error) const {
  return error == EMFILE && unborn_ >= kBirthsPerNote ? kNoRoom : error;
}

int ChildPool::conceive(WarmChild& out) {
  static std::atomic<std::uint64_t> last{kFirstForked};
  FdPair ends = socket_pair(SOCK_STREAM);
  if (!ends.first) return errno;
  out = {.number = ++last, .socket = UniqueSocket(std::move(ends.first))};
  if (!channel().listen_to(out.number, out.socket.get())) return errno;
  births_.push_back({out.number, std::move(ends.second)});
  ++unborn_;
  if (births_.size() >= kMostAtOnce) ask_for_births();
  return 0;
}

bool ChildPool::pop_idle(const std::string& kind, WarmChild& out) {
  if (const auto line = used_.find(kind); line != used_.end()) {
    out = std::move(line->second.front().child);
    line->second.pop_front();
    --used_count_;
    if (line->second.empty()) used_.erase(line);
    return true;
  }
  if (fresh_.empty()) return false;
  out = std::move(fresh_.front());
  fresh_.pop_front();
  return true;
}

// Idle ones are asked for a few at a time, so that a steady load does not need a message
// for each; and with those that jobs wait for.
void ChildPool::ask() {
  if (closed_) return;
  const std::size_t want = set_back_ ? 0 : warm_;
  const std::size_t more = want > fresh_.size() ? want - fresh_.size() : 0;
  if (more > warm_ / 2 || !births_.empty()) {
    for (WarmChild child; fresh_.size() < want && unborn_ < kMostUnborn;) {
      if (conceive(child) != 0) {
        set_back();
        break;
      }
      fresh_.push_back(std::move(child));
    }
  }
  ask_for_births();
}

// Before their jobs are sent, and may be killed: the server takes a signal for a child
// that it was never asked for to be for one that has ended. The others can wait until a
// job ends: a fork takes a processor for as long as a short job does, and just now one is
// wanted for that.
void ChildPool::ask_for_children_of_jobs() {
  if (!births_.empty()) ask();
}

void ChildPool::ask_for_births() {
  if (!births_.empty()) channel().fork(births_);
  births_.clear();
}

// A job is given to a child, and the run attached to it, with the mutex held.
void ChildPool::settle() { std::lock_guard lock(mutex_); }

bool ChildPool::gone(const Reply& reply) {
  std::lock_guard lock(mutex_);
  if (closed_ || leaving_.erase(reply.run) > 0) return true;
  if (!forget_idle(reply.run)) return false;
  set_back();  // the next one may go likewise, and at once
  return true;
}

// A job that finds no child still asks for one at once; the idle ones are seen to later.
void ChildPool::set_back() {
  if (set_back_) return;
  set_back_ = true;
  setback_timer_.expires_after(kSetback);
  setback_timer_.async_wait([weak = weak_from_this()](const auto& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    std::lock_guard lock(self->mutex_);
    self->set_back_ = false;
    self->ask();
  });
}

bool ChildPool::forget_idle(std::uint64_t number) {
  const auto fresh = std::find_if(fresh_.begin(), fresh_.end(),
                                  [&](const auto& c) { return c.number == number; });
  if (fresh != fresh_.end()) {
    fresh_.erase(fresh);
    return true;
  }
  for (auto line = used_.begin(); line != used_.end(); ++line) {
    const auto used =
        std::find_if(line->second.begin(), line->second.end(),
                     [&](const auto& c) { return c.child.number == number; });
    if (used == line->second.end()) continue;
    line->second.erase(used);
    --used_count_;
    if (line->second.empty()) used_.erase(line);
    return true;
  }
  return false;
}

void ChildPool::take_back(WarmChild child, const std::string& kind) {
  bool wanted = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (used_count_ >= most_used_) return leaves(child.number);
    used_[kind].push_front({std::move(child), Clock::now()});
    ++used_count_;
    expire_used_later();
    wanted = !waiting_.empty();
  }
  if (wanted) start_waiting();
}

void ChildPool::let_go(std::uint64_t child) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  leaves(child);
  ask();
}

void ChildPool::leaves(std::uint64_t child) {
  leaving_.emplace(child, Clock::now());
  see_out_later();
}

void ChildPool::refill() {
  std::lock_guard lock(mutex_);
  ask();
}

void ChildPool::see_out_later() {
  if (seeing_out_ || leaving_.empty()) return;
  seeing_out_ = true;
  leaving_timer_.expires_after(kLeaveWithin);
  leaving_timer_.async_wait([weak = weak_from_this()](const auto& error) {
    if (const auto self = weak.lock(); self && !error) self->see_out();
  });
}

void ChildPool::see_out() {
  std::lock_guard lock(mutex_);
  seeing_out_ = false;
  const auto since = Clock::now() - kLeaveWithin;
  for (const auto& [child, left] : leaving_) {
    if (left <= since) channel().kill(child);
  }
  see_out_later();
}

void ChildPool::expire_used_later() {
  if (expiring_ || used_count_ == 0) return;
  expiring_ = true;
  used_timer_.expires_after(kUsedFor);
  used_timer_.async_wait([weak = weak_from_this()](const auto& error) {
    if (const auto self = weak.lock(); self && !error) self->expire_used();
  });
}

void ChildPool::expire_used() {
  std::lock_guard lock(mutex_);
  expiring_ = false;
  const auto idle_since = Clock::now() - kUsedFor;
  for (auto line = used_.begin(); line != used_.end();) {
    auto& children = line->second;
    for (; !children.empty() && children.back().since <= idle_since; --used_count_) {
      leaves(children.back().child.number);
      children.pop_back();
    }
    line = children.empty() ? used_.erase(line) : std::next(line);
  }
  expire_used_later();
}

void ChildPool::lost() {
  decltype(waiting_) waiting;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    waiting.swap(waiting_);
    forget_all();
  }
  for (const auto& [place, run] : waiting) run->lost();
}

void ChildPool::forget_all() {
  fresh_.clear();
  used_.clear();
  used_count_ = 0;
  leaving_.clear();
  used_timer_.cancel();
  leaving_timer_.cancel();
  setback_timer_.cancel();
}

void ChildPool::close() {
  boost::asio::post(channel().context(), [self = shared_from_this()] { self->lost(); });
}

}  // namespace carrel::process
