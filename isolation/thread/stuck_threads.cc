// Threads that are lost to a handler, and come back: a pool replaces them as far as it
// may, and gives back what it has nobody left to run.
#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "thread_pool_state.h"

namespace carrel {

// Called with the mutex held. Where this process may have no more threads, the others do
// its work until the next post or beat.
void ThreadPool::replace_stuck(const std::shared_ptr<State>& state) noexcept {
  while (state->replacements < state->target) {
    const std::shared_ptr<Worker> missed = unreplaced(*state);
    if (!missed) break;
    try {
      spawn(state);
    } catch (const std::system_error&) {
      break;
    }
    missed->replaced = true;
    ++state->replacements;
  }
  count_threads(*state);
}

// Likewise, whenever threads were made, lost or found again.
void ThreadPool::count_threads(State& state) noexcept {
  if (!state.stopping) state.exhausted = state.stuck == state.workers.size();
}

// Without the mutex: whoever logs may ask for stuck().
void ThreadPool::tell(State& state) noexcept {
  const bool exhausted = state.exhausted;
  if (state.told_exhausted.exchange(exhausted) == exhausted) return;
  if (exhausted) {
    state.setup.log(
        LogLevel::kError,
        "isolation \"" + state.setup.isolation +
            "\": each of its threads is stuck in a handler that does not heed "
            "its stop; none of its jobs is taken until one returns");
  } else {
    state.setup.log(LogLevel::kInfo, "isolation \"" + state.setup.isolation +
                                         "\" has a thread again, and takes jobs");
  }
}

// Gives back what nobody is left to run. What gives up its key meanwhile posts the next
// of that key, which is for whoever is at it already.
void ThreadPool::set_aside_all(State& state) noexcept {
  for (bool mine = false;; mine = true) {
    RunPtr run;
    {
      std::lock_guard lock(state.mutex);
      if (state.setting_aside && !mine) return;
      state.setting_aside = state.exhausted && !state.queue.empty();
      if (!state.setting_aside) return;
      run = std::move(state.queue.front());
      state.queue.pop_front();
    }
    run->set_aside(Duration{0}, "no thread is left to run it");
    if (state.setup.released) state.setup.released(*run);
  }
}

// Likewise. A thread that is stuck, and whose place nobody has.
std::shared_ptr<ThreadPool::Worker> ThreadPool::unreplaced(const State& state) noexcept {
  if (state.stuck == state.replacements) return nullptr;
  const auto at =
      std::find_if(state.workers.begin(), state.workers.end(),
                   [](const auto& worker) { return worker->stuck && !worker->replaced; });
  return at == state.workers.end() ? nullptr : *at;
}

// An abandoned handler came back after all. True: another thread has this one's place.
bool ThreadPool::recovered(State& state, const std::shared_ptr<Worker>& self) noexcept {
  std::unique_lock lock(state.mutex);  // abandon() has done with this worker
  --state.stuck;
  self->stuck = false;
  bool leaves = std::exchange(self->replaced, false);
  if (leaves) {
    --state.replacements;
    if (state.stopping) return true;  // the destructor has the thread in hand
    if (const auto missed = unreplaced(state)) {
      missed->replaced = true;  // by this one
      ++state.replacements;
      leaves = false;
    } else {
      self->thread.detach();
      std::erase(state.workers, self);
    }
  }
  count_threads(state);
  lock.unlock();
  tell(state);
  return leaves;
}

Duration ThreadPool::abandon(ThreadRun& run) noexcept {
  std::size_t wakes = 0;
  std::size_t stuck = 0;
  std::optional<Duration> ran;
  {
    std::lock_guard lock(state_->mutex);
    const auto at = std::find_if(state_->workers.begin(), state_->workers.end(),
                                 [&](const auto& w) { return w->current == &run; });
    if (at != state_->workers.end()) ran = run.try_abandon();
    if (!ran) return {};
    stuck = ++state_->stuck;
    Worker& worker = **at;
    worker.stuck = true;
    worker.hand.give_back(state_->queue);
    replace_stuck(state_);
    wakes = wakes_for(*state_, state_->queue.size());
  }
  for (; wakes > 0; --wakes) state_->wake.notify_one();
  const Claimed& job = run.job();
  state_->setup.log(
      LogLevel::kWarn,
      "job " + std::to_string(value(job.lease.id)) + ": the handler of \"" + job.kind +
          "\" does not heed its stop; its thread is left to it (" +
          std::to_string(stuck) + " of \"" + state_->setup.isolation + "\" are stuck)");
  if (state_->setup.abandoned) state_->setup.abandoned(run);
  if (exhausted()) set_aside_all(*state_);
  tell(*state_);
  return *ran;
}

void ThreadPool::tend() noexcept {
  teller_.tend();
  {
    std::lock_guard lock(state_->mutex);
    replace_stuck(state_);
  }
  tell(*state_);
}

bool ThreadPool::exhausted() const noexcept { return state_->exhausted; }

std::size_t ThreadPool::stuck() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->stuck;
}

}  // namespace carrel
