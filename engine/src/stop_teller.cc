#include "stop_teller.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "threads.h"

namespace carrel {

struct StopTeller::Teller {
  std::thread thread;
  bool busy = false;  // in callbacks; guarded by the state's mutex
};

struct StopTeller::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::stop_source> waiting;
  std::vector<std::shared_ptr<Teller>> tellers;
  std::uint64_t taken = 0;  // requests that a thread has begun to tell
  std::uint64_t seen = 0;   // of these, at the last tend()
  bool closing = false;
};

StopTeller::StopTeller() : state_(std::make_shared<State>()) {}

StopTeller::~StopTeller() { close(true); }

void StopTeller::tell(std::stop_source source) noexcept {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closing) return;
    state_->waiting.push_back(std::move(source));
    if (state_->tellers.empty()) spawn(state_);
  }
  state_->wake.notify_one();
}

void StopTeller::tend() noexcept {
  const std::lock_guard lock(state_->mutex);
  const auto& tellers = state_->tellers;
  const bool stuck =
      std::exchange(state_->seen, state_->taken) == state_->taken &&
      std::all_of(tellers.begin(), tellers.end(), [](const auto& t) { return t->busy; });
  if (!state_->waiting.empty() && stuck && !state_->closing) spawn(state_);
}

// With the lock held. Where this process may have no more threads, the next tend() tries
// again.
void StopTeller::spawn(const std::shared_ptr<State>& state) noexcept {
  try {
    auto teller = std::make_shared<Teller>();
    teller->thread =
        named_thread("carrel-tell", [state, teller] { work(state, teller); });
    state->tellers.push_back(std::move(teller));
  } catch (const std::system_error&) {
  }
}

void StopTeller::work(const std::shared_ptr<State>& state,
                      const std::shared_ptr<Teller>& self) noexcept {
  std::unique_lock lock(state->mutex);
  while (true) {
    state->wake.wait(lock, [&] { return state->closing || !state->waiting.empty(); });
    if (state->waiting.empty()) return;
    std::stop_source source = std::move(state->waiting.front());
    state->waiting.pop_front();
    ++state->taken;
    self->busy = true;
    lock.unlock();
    source.request_stop();
    source = std::stop_source(std::nostopstate);
    lock.lock();
    self->busy = false;
    if (state->closing || !state->waiting.empty() || state->tellers.size() == 1) continue;
    self->thread.detach();  // another is there for the next
    std::erase(state->tellers, self);
    return;
  }
}

void StopTeller::close(bool wait) noexcept {
  std::vector<std::shared_ptr<Teller>> tellers;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
    tellers.swap(state_->tellers);
    if (!wait) {
      for (const auto& teller : tellers) {
        if (teller->busy || !state_->waiting.empty()) teller->thread.detach();
      }
    }
  }
  state_->wake.notify_all();
  for (const auto& teller : tellers) {
    if (teller->thread.joinable()) teller->thread.join();
  }
}

}  // namespace carrel
