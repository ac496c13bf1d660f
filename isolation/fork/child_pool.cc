#include "child_pool.h"

#include <algorithm>
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
  std::vector<Refused> refused;
  bool lost = false;
  {
    std::lock_guard lock(mutex_);
    lost = closed_;
    if (!lost) {
      for (const auto& run : runs) {
        if (!assign(run, refused)) waiting_.push_back(run);
      }
      ask();
    }
  }
  if (lost) {
    for (const auto& run : runs) run->lost();
  }
  refuse(refused);
}

// False: there is no child for it now.
bool ChildPool::assign(const std::shared_ptr<ForkRun>& run,
                       std::vector<Refused>& refused) {
  for (WarmChild child; pop_idle(run->kind(), child);) {
    const int error = run->send_to(child);
    if (error == 0) {
      channel().attach(run);  // what is heard of the child before waits for this
      return true;
    }
    if (error == EPIPE || error == ECONNRESET) continue;  // it has died meanwhile
    fresh_.push_front(std::move(child));
    refused.push_back({run, error});
    return true;
  }
  return false;
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

// In order; but who waits first leaves a child that has run another kind to the next.
void ChildPool::serve_waiting(std::vector<Refused>& refused) {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    if (fresh_.empty() && used_count_ == 0) return;
    next = assign(*next, refused) ? waiting_.erase(next) : std::next(next);
  }
}

// Children are asked for a few at a time, so that a steady load does not need a message
// for each; at once only where more jobs wait than children come.
void ChildPool::ask() {
  const std::size_t there = fresh_.size() + coming_;
  const std::size_t want = waiting_.size() + (set_back_ ? 0 : warm_);
  const std::size_t more = want > there ? want - there : 0;
  const bool hurry = !waiting_.empty();
  const bool tell = more > warm_ / 2 || (hurry && !hurried_) || waiting_.size() > coming_;
  hurried_ = hurry;
  if (closed_ || !tell) return;
  coming_ += more;
  channel().fork(more, hurry);
}

void ChildPool::ready(std::uint64_t number, UniqueFd socket) {
  if (!socket || !channel().listen_to(number, socket.get())) {
    gone({.what = Reply::What::kNotForked, .status = 1, .error = EMFILE});
    return;
  }
  std::vector<Refused> refused;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    --coming_;
    WarmChild& child = fresh_.emplace_back();
    child.number = number;
    child.socket = std::move(socket);
    serve_waiting(refused);
    ask();
  }
  refuse(refused);
}

// A job is given to a child, and the run attached to it, with the mutex held.
void ChildPool::settle() { std::lock_guard lock(mutex_); }

bool ChildPool::gone(const Reply& reply) {
  std::vector<Refused> refused;
  {
    std::lock_guard lock(mutex_);
    if (closed_ || leaving_.erase(reply.run) > 0) return true;
    if (reply.what == Reply::What::kEnded) {
      if (!forget_idle(reply.run)) return false;
      set_back();  // the next one may die likewise, and at once
    } else {
      set_back();
      for (std::int32_t n = 0; n < reply.status; ++n) {
        --coming_;
        if (waiting_.empty()) continue;
        refused.push_back({std::move(waiting_.front()), reply.error});
        waiting_.pop_front();
      }
    }
    ask();
  }
  refuse(refused);
  return true;
}

// Jobs that wait still ask for children at once; the idle ones are seen to later.
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

bool ChildPool::withdraw(const ForkRun& run) {
  std::lock_guard lock(mutex_);
  const auto at = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const auto& w) { return w.get() == &run; });
  if (at == waiting_.end()) return false;
  waiting_.erase(at);
  return true;
}

void ChildPool::take_back(WarmChild child, const std::string& kind) {
  std::vector<Refused> refused;
  {
    std::lock_guard lock(mutex_);
    if (!closed_ && used_count_ < most_used_) {
      used_[kind].push_front({std::move(child), Clock::now()});
      ++used_count_;
      serve_waiting(refused);
      expire_used_later();
    }
  }
  refuse(refused);
}

void ChildPool::let_go(std::uint64_t child) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  leaving_.emplace(child, Clock::now());
  see_out_later();
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
      children.pop_back();
    }
    line = children.empty() ? used_.erase(line) : std::next(line);
  }
  expire_used_later();
}

void ChildPool::refuse(std::vector<Refused>& refused) {
  for (auto& [run, error] : refused) run->refuse_resource(error);
}

void ChildPool::lost() {
  decltype(waiting_) waiting;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    waiting.swap(waiting_);
    fresh_.clear();
    used_.clear();
    used_count_ = 0;
    leaving_.clear();
  }
  used_timer_.cancel();
  leaving_timer_.cancel();
  setback_timer_.cancel();
  for (const auto& run : waiting) run->lost();
}

void ChildPool::close() {
  boost::asio::post(channel().context(), [self = shared_from_this()] { self->lost(); });
}

}  // namespace carrel::process
