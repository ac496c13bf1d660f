#include "thread_pool.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "threads.h"

namespace carrel {

struct ThreadPool::Worker {
  std::thread thread;
  Hand hand;
  std::atomic<ThreadRun*> current{nullptr};  // only compared, never followed, by others
  bool stuck = false;                        // guarded by the state's mutex
};

struct ThreadPool::State {
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<RunPtr> queue;
  std::vector<std::shared_ptr<Worker>> workers;
  std::size_t target = 0;  // threads that the pool should have
  std::size_t idle = 0;
  std::size_t stuck = 0;
  std::size_t replacements = 0;  // made for threads that are stuck now; at most `target`
  bool stopping = false;
  std::shared_ptr<const void> kinds;
  std::function<void(ThreadRun&)> released;
};

namespace {
constexpr std::size_t kMaxHand = 32;
}  // namespace

void Hand::fill(std::deque<RunPtr>& queue, std::size_t runs) {
  runs_.clear();
  for (; runs > 0; --runs) {
    runs_.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  next_ = 0;
}

Hand::RunPtr Hand::next() {
  if (empty()) return nullptr;
  const std::size_t mine = next_.fetch_add(1);
  return mine < runs_.size() ? std::move(runs_[mine]) : nullptr;
}

void Hand::give_back(std::deque<RunPtr>& queue) {
  for (std::size_t end = runs_.size(), first = next_.exchange(end); first < end; --end) {
    queue.push_front(std::move(runs_[end - 1]));
  }
}

ThreadPool::ThreadPool(std::size_t threads, std::shared_ptr<const void> kinds,
                       std::function<void(ThreadRun&)> released)
    : state_(std::make_shared<State>()) {
  state_->target = threads;
  state_->kinds = std::move(kinds);
  state_->released = std::move(released);
  std::lock_guard lock(state_->mutex);
  for (std::size_t i = 0; i < threads; ++i) spawn(state_);
}

ThreadPool::~ThreadPool() {
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
    wakes = std::min(state_->idle, runs.size());
  }
  for (; wakes > 0; --wakes) state_->wake.notify_one();
}

std::function<void(ThreadPool::RunPtr)> ThreadPool::poster() const {
  return [weak = std::weak_ptr<State>(state_)](RunPtr run) {
    const auto state = weak.lock();
    if (!state) return;
    {
      std::lock_guard lock(state->mutex);
      state->queue.push_back(std::move(run));
    }
    state->wake.notify_one();
  };
}

void ThreadPool::work(std::shared_ptr<State> state,
                      std::shared_ptr<Worker> self) noexcept {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  std::unique_lock lock(state->mutex);
  while (true) {
    if (!deal(*state, self->hand)) {
      if (state->stopping) return;
      ++state->idle;
      state->wake.wait(lock);
      --state->idle;
      continue;
    }
    lock.unlock();
    auto now = ThreadRun::Clock::now();
    while (const RunPtr run = self->hand.next()) {
      // Who abandons a run finds it here if it is running; its phase orders the two.
      self->current.store(run.get(), std::memory_order_release);
      run->execute(self->hand, now);
      self->current.store(nullptr, std::memory_order_release);
      if (state->released) state->released(*run);
      if (run->abandoned() && recovered(*state, self, *run)) return;
    }
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);  // a handler may have changed it
    lock.lock();
  }
}

// Called with the mutex held. False: there is nothing to run.
bool ThreadPool::deal(State& state, Hand& hand) {
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
  return true;
}

// An abandoned handler came back after all. True: another thread has this one's place.
bool ThreadPool::recovered(State& state, const std::shared_ptr<Worker>& self,
                           const ThreadRun& run) noexcept {
  std::lock_guard lock(state.mutex);  // abandon() has done with this worker
  --state.stuck;
  if (!run.replaced) {
    self->stuck = false;
    return false;
  }
  --state.replacements;
  if (!state.stopping) {  // else the destructor has the thread in hand
    self->thread.detach();
    std::erase(state.workers, self);
  }
  self->stuck = false;
  return true;
}

void ThreadPool::abandon(ThreadRun& run) noexcept {
  {
    std::lock_guard lock(state_->mutex);
    const auto at = std::find_if(state_->workers.begin(), state_->workers.end(),
                                 [&](const auto& w) { return w->current == &run; });
    if (at == state_->workers.end() || !run.try_abandon()) return;
    ++state_->stuck;
    Worker& worker = **at;
    worker.stuck = true;
    worker.hand.give_back(state_->queue);
    if (state_->replacements < state_->target) {
      run.replaced = true;
      ++state_->replacements;
      spawn(state_);
    }
  }
  state_->wake.notify_all();
}

std::size_t ThreadPool::stuck() const noexcept {
  std::lock_guard lock(state_->mutex);
  return state_->stuck;
}

}  // namespace carrel
