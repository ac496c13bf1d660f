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

// A thread takes a few runs at a time where many wait, so that the lock is not taken for
// each. `next` hands them out one by one: to the thread itself, or, once it is stuck, to
// whoever takes the rest away.
struct ThreadPool::Worker {
  std::thread thread;
  std::vector<RunPtr> batch;
  std::atomic<std::size_t> next{0};
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
constexpr std::size_t kMaxBatch = 32;
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
    ++state->idle;
    state->wake.wait(lock, [&] { return state->stopping || !state->queue.empty(); });
    --state->idle;
    if (state->queue.empty()) return;  // stopping
    const std::size_t take =
        std::clamp<std::size_t>(state->queue.size() / (2 * state->target), 1, kMaxBatch);
    self->batch.clear();
    for (std::size_t i = 0; i < take; ++i) {
      self->batch.push_back(std::move(state->queue.front()));
      state->queue.pop_front();
    }
    self->next = 0;
    lock.unlock();
    auto now = ThreadRun::Clock::now();
    for (std::size_t i = 0; (i = self->next.fetch_add(1)) < take;) {
      const RunPtr run = std::move(self->batch[i]);
      // Who abandons a run finds it here if it is running; its phase orders the two.
      self->current.store(run.get(), std::memory_order_release);
      run->execute(i + 1 < take, now);
      self->current.store(nullptr, std::memory_order_release);
      if (state->released) state->released(*run);
      if (run->abandoned() && recovered(*state, self, *run)) return;
    }
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);  // a handler may have changed it
    lock.lock();
  }
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
  std::size_t returned = 0;
  {
    std::lock_guard lock(state_->mutex);
    const auto at = std::find_if(state_->workers.begin(), state_->workers.end(),
                                 [&](const auto& w) { return w->current == &run; });
    if (at == state_->workers.end() || !run.try_abandon()) return;
    ++state_->stuck;
    Worker& worker = **at;
    worker.stuck = true;
    // What it had taken for later goes back to the front of the queue, in order.
    for (std::size_t end = worker.batch.size(), first = worker.next.exchange(end);
         first < end; --end, ++returned) {
      state_->queue.push_front(std::move(worker.batch[end - 1]));
    }
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
