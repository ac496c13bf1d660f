#include "thread_pool.h"

#include <signal.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "thread_pool_state.h"
#include "threads.h"

namespace carrel {
namespace {
constexpr std::size_t kMaxHand = 32;
// For how long a thread that has run out of work looks for more before it sleeps: jobs
// that follow each other closely are then not the price of a wake each.
constexpr auto kLinger = std::chrono::microseconds(20);
}  // namespace

ThreadPool::ThreadPool(Setup setup) : state_(std::make_shared<State>()) {
  state_->target = setup.threads;
  state_->setup = std::move(setup);
  try {
    std::lock_guard lock(state_->mutex);
    for (std::size_t i = 0; i < state_->target; ++i) spawn(state_);
  } catch (...) {
    close();
    throw;
  }
}

ThreadPool::~ThreadPool() { close(); }

void ThreadPool::close() {
  std::vector<std::shared_ptr<Worker>> workers;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    workers.swap(state_->workers);
  }
  state_->wake.notify_all();
  for (auto& worker : workers) {
    {
      std::lock_guard lock(state_->mutex);
      if (worker->stuck) worker->thread.detach();
    }
    if (worker->thread.joinable()) worker->thread.join();
  }
  // A callback that does not return keeps its handler from returning: both are left
  // alone.
  teller_.close(stuck() == 0);
}

// Called with the mutex held.
void ThreadPool::spawn(const std::shared_ptr<State>& state) {
  auto worker = std::make_shared<Worker>();
  worker->thread = named_thread("carrel-job", [state, worker] { work(state, worker); });
  state->workers.push_back(std::move(worker));
}

void ThreadPool::post(std::span<RunPtr> runs) {
  std::size_t wakes = 0;
  {
    std::lock_guard lock(state_->mutex);
    for (auto& run : runs) state_->queue.push_back(std::move(run));
    state_->posts.fetch_add(1, std::memory_order_relaxed);
    replace_stuck(state_);
    wakes = wakes_for(*state_, runs.size());
  }
  for (; wakes > 0; --wakes) state_->wake.notify_one();
  if (exhausted()) set_aside_all(*state_);
}

// Called with the mutex held: how many threads the caller is to wake, where `runs` wait.
std::size_t ThreadPool::wakes_for(State& state, std::size_t runs) {
  const std::size_t searching = state.woken + (state.lingers ? 1 : 0);
  const std::size_t wakes = std::min(state.asleep, runs - std::min(runs, searching));
  state.asleep -= wakes;
  state.woken += wakes;
  return wakes;
}

std::function<void(ThreadPool::RunPtr)> ThreadPool::poster() const {
  return [weak = std::weak_ptr<State>(state_)](RunPtr run) {
    const auto state = weak.lock();
    if (!state) return;
    std::size_t wakes = 0;
    {
      std::lock_guard lock(state->mutex);
      state->queue.push_back(std::move(run));
      state->posts.fetch_add(1, std::memory_order_relaxed);
      replace_stuck(state);
      wakes = wakes_for(*state, 1);
    }
    if (wakes > 0) state->wake.notify_one();
    if (state->exhausted) set_aside_all(*state);
  };
}

void ThreadPool::work(std::shared_ptr<State> state,
                      std::shared_ptr<Worker> self) noexcept {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  bool searched = false;
  std::unique_lock lock(state->mutex);
  while (true) {
    bool more = false;
    if (!deal(*state, self->hand, more)) {
      if (state->stopping) return;
      if (!std::exchange(searched, true) && linger(*state, lock)) continue;
      ++state->asleep;
      state->wake.wait(lock, [&] { return state->woken > 0 || state->stopping; });
      --(state->woken > 0 ? state->woken : state->asleep);
      searched = false;
      continue;
    }
    searched = false;
    const bool wakes = more && wakes_for(*state, 1) > 0;
    lock.unlock();
    if (wakes) state->wake.notify_one();
    auto now = ThreadRun::Clock::now();
    while (const RunPtr run = self->hand.next()) {
      // Who abandons a run finds it here if it is running; its phase orders the two.
      self->current.store(run.get(), std::memory_order_release);
      run->execute(self->hand, now);
      self->current.store(nullptr, std::memory_order_release);
      if (state->setup.released) state->setup.released(*run);
      if (run->abandoned() && recovered(*state, self)) return;
    }
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);  // a handler may have changed it
    lock.lock();
  }
}

// Gives up the lock until something was posted, or for a short while. False: another
// thread lingers.
bool ThreadPool::linger(State& state, std::unique_lock<std::mutex>& lock) {
  if (state.lingers) return false;
  state.lingers = true;
  const std::size_t before = state.posts.load(std::memory_order_relaxed);
  lock.unlock();
  const auto end = ThreadRun::Clock::now() + kLinger;
  do {
    std::this_thread::yield();
  } while (state.posts.load(std::memory_order_relaxed) == before &&
           ThreadRun::Clock::now() < end);
  lock.lock();
  state.lingers = false;
  return true;
}

// Called with the mutex held. False: there is nothing to run. `more`: something still
// waits.
bool ThreadPool::deal(State& state, Hand& hand, bool& more) {
  if (state.queue.empty()) {
    // What another has taken for later waits for what that one does now, however long.
    for (const auto& worker : state.workers) {
      if (RunPtr run = worker->hand.next()) {
        state.queue.push_back(std::move(run));
        break;
      }
    }
  }
  if (state.queue.empty()) return false;
  const std::size_t share = state.queue.size() / (2 * state.target);
  hand.fill(state.queue, std::clamp<std::size_t>(share, 1, kMaxHand));
  more =
      !state.queue.empty() ||
      (state.asleep > 0 &&
       std::any_of(state.workers.begin(), state.workers.end(), [&](const auto& worker) {
         return &worker->hand != &hand && !worker->hand.empty();
       }));
  return true;
}

}  // namespace carrel
