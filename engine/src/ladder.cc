#include "ladder.h"

#include <boost/asio/post.hpp>
#include <vector>

#include "reactor.h"
#include "reactor_timer.h"

namespace carrel {

Ladder::Ladder(Reactor& reactor)
    : timer_(std::make_shared<ReactorTimer>(reactor.context())) {}

Ladder::~Ladder() { timer_->close(); }

void Ladder::arm(const std::shared_ptr<ActiveRun>& run, Clock::time_point at) {
  put(run, at, Step::kStop);
}

void Ladder::escalate(const std::shared_ptr<ActiveRun>& run) {
  disarm(*run);
  put(run, Clock::now() + run->kind.spec.limits.stop_grace, Step::kTerminate);
}

void Ladder::put(const std::shared_ptr<ActiveRun>& run, Clock::time_point at, Step step) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    run->rung = {at, ++last_};
    if (step == Step::kStop) run->deadline = at;
    run->on_ladder = true;
    const auto place = rungs_.emplace(run->rung, Rung{run, step}).first;
    first = place == rungs_.begin();
  }
  if (run->ended()) disarm(*run);  // it ended while it was put up
  if (!first) return;
  boost::asio::post(timer_->timer.get_executor(), [this, timer = timer_] {
    if (!timer->closed) schedule();
  });
}

void Ladder::disarm(ActiveRun& run) {
  if (!run.on_ladder.load()) return;
  std::lock_guard lock(mutex_);
  rungs_.erase(run.rung);
}

void Ladder::schedule() {
  Clock::time_point at;
  {
    std::lock_guard lock(mutex_);
    if (rungs_.empty()) return;
    at = rungs_.begin()->first.first;
  }
  timer_->timer.expires_at(at);
  timer_->timer.async_wait(
      [this, timer = timer_](const boost::system::error_code& error) {
        if (!error && !timer->closed) expired();
      });
}

void Ladder::expired() {
  std::vector<Rung> due;
  {
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    while (!rungs_.empty() && rungs_.begin()->first.first <= now) {
      const auto first = rungs_.begin();
      due.push_back(std::move(first->second));
      rungs_.erase(first);
    }
  }
  for (auto& rung : due) {
    if (const auto run = rung.run.lock(); run && !run->ended()) climb(run, rung.step);
  }
  schedule();
}

void Ladder::climb(const std::shared_ptr<ActiveRun>& run, Step step) {
  const auto& limits = run->kind.spec.limits;
  switch (step) {
    case Step::kStop:
      run->stop(StopReason::kTimeout);
      put(run, Clock::now() + limits.stop_grace, Step::kTerminate);
      break;
    case Step::kTerminate:
      run->terminate();
      put(run, Clock::now() + limits.term_grace, Step::kKill);
      break;
    case Step::kKill:
      if (!run->kill()) give_up(run);
      break;
  }
}

// Whatever it was asked to stop for: its time is its own until it is over.
void Ladder::give_up(const std::shared_ptr<ActiveRun>& run) {
  std::optional<Clock::time_point> deadline;
  {
    std::lock_guard lock(mutex_);
    deadline = run->deadline;
  }
  if (!deadline) return;
  if (Clock::now() < *deadline) {
    put(run, *deadline, Step::kKill);
    return;
  }
  run->give_up();
}

}  // namespace carrel
