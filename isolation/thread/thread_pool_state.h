// What the threads of a pool share, and keep for as long as one of them lives.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "thread_pool.h"

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

}  // namespace carrel
