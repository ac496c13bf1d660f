// The threads that handlers run on, and what happens when one of them is lost to a
// handler.
//
// What the threads need lives in a state that they share: a thread that was abandoned
// inside a handler may outlive the pool, and then touches nothing but that state.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "hand.h"
#include "stop_teller.h"
#include "thread_run.h"

namespace carrel {

class ThreadPool {
 public:
  using RunPtr = Hand::RunPtr;
  struct Setup {
    std::string isolation;  // its name, for the log
    std::size_t threads = 1;
    std::shared_ptr<const void> kinds;  // what runs look at; kept while one may run
    LogFn log = [](LogLevel, std::string_view) {};
    // A run gives up its key: mostly on a pool thread, also long after it was abandoned,
    // so that it must own what it touches. Empty: nobody cares.
    std::function<void(ThreadRun&)> released = {};
    std::function<void(ThreadRun&)> abandoned = {};  // on the thread that did so
  };
  // Throws std::system_error where so many threads cannot be had, and leaves none.
  explicit ThreadPool(Setup setup);
  ~ThreadPool();  // joins all threads but those that are stuck
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Queues the runs, and wakes no more threads than there is work for; sets them aside
  // where no thread is left. Moves from them.
  void post(std::span<RunPtr> runs);
  // A way to post that may be kept past the pool's life; it then does nothing.
  std::function<void(RunPtr)> poster() const;

  Duration abandon(ThreadRun& run) noexcept;  // as Run::abandon()
  std::size_t stuck() const noexcept;
  bool exhausted() const noexcept;  // no thread is left that is not stuck
  void tend() noexcept;             // tries again to replace what could not be replaced
  // Soon, on another thread: the callbacks of who listens may take their time.
  void tell_stop(std::stop_source source) noexcept { teller_.tell(std::move(source)); }

 private:
  struct Worker;
  struct State;
  static void spawn(const std::shared_ptr<State>& state);
  static void replace_stuck(const std::shared_ptr<State>& state) noexcept;
  static std::shared_ptr<Worker> unreplaced(const State& state) noexcept;
  void close();
  static bool deal(State& state, Hand& hand, bool& more);
  static bool linger(State& state, std::unique_lock<std::mutex>& lock);
  static std::size_t wakes_for(State& state, std::size_t runs);
  static void work(std::shared_ptr<State> state, std::shared_ptr<Worker> self) noexcept;
  static bool recovered(State& state, const std::shared_ptr<Worker>& self) noexcept;
  static void count_threads(State& state) noexcept;
  static void tell(State& state) noexcept;
  static void set_aside_all(State& state) noexcept;
  std::shared_ptr<State> state_;
  StopTeller teller_;
};

}  // namespace carrel
