#include "thread_pool.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "threads.h"

namespace carrel {

struct ThreadPool::Worker {
  std::thread thread;
  Hand hand;
  std::atomic<ThreadRun*> current{nullptr};  // only compared, never followed, by others
  // Guarded by the state's mutex.
  bool stuck = false;
  bool replaced = false;  // another thread has its place
};

struct ThreadPool::State {
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<RunPtr> queue;
  std::vector<std::shared_ptr<Worker>> workers;
  std::size_t target = 0;  // threads that the pool should have
  // While runs wait and threads sleep, a thread searches: it lingers, or was woken and is
  // on its way. Whoever finds something wakes the next, if more waits.
  std::size_t asleep = 0;
  std::size_t woken = 0;
  bool lingers = false;
  std::atomic<std::size_t> posts{0};
  std::size_t stuck = 0;
  std::size_t replacements = 0;  // of threads that are stuck now; at most `target`
  bool stopping = false;
  std::atomic<bool> exhausted{false};  // changes under the mutex
  std::atomic<bool> told_exhausted{false};
  bool setting_aside = false;  // somebody empties the queue
  Setup setup;
};

namespace {
constexpr std::size_t kMaxHand = 32;
// For how long a thread that has run out of work looks for more before it sleeps: jobs
// that follow each other closely are then not the price of a wake each.
constexpr auto kLinger = std::chrono::microseconds(20);
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

// Likewise. Where this process may have no more threads, the others do its work until the
// next post or beat.
void ThreadPool::replace_stuck(const std::shared_ptr<State>& state) noexcept {
  while (state->replacements < state->target) {
    const std::shared_ptr<Worker> missed = unreplaced(*state);
    if (!missed) return;
    try {
      spawn(state);
    } catch (const std::system_error&) {
      return;
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
