// Requests stops where the callbacks of those who listen may take their time: they are
// the host's code, and may not hold up the threads that keep leases and timers.
//
// One thread, "carrel-tell", made by the first request. While it is inside a callback
// that does not return, tend() makes another for the requests that wait.
#pragma once

#include <memory>
#include <stop_token>

namespace carrel {

// Threads: safe. Nothing here blocks but close().
class StopTeller {
 public:
  StopTeller();
  ~StopTeller();  // close(true), unless it was closed
  StopTeller(const StopTeller&) = delete;
  StopTeller& operator=(const StopTeller&) = delete;

  // The stop of `source` is requested on a thread of this, soon. Nothing after close().
  void tell(std::stop_source source) noexcept;
  // To be called now and then while requests may wait.
  void tend() noexcept;
  // `wait`: until all are told and their callbacks have returned. Else what is told just
  // now, or waits, is left to its thread, which touches nothing of this any more.
  // Idempotent, by one thread.
  void close(bool wait) noexcept;

 private:
  struct Teller;
  struct State;  // outlives this where a callback does
  static void spawn(const std::shared_ptr<State>& state) noexcept;
  static void work(const std::shared_ptr<State>& state,
                   const std::shared_ptr<Teller>& self) noexcept;

  const std::shared_ptr<State> state_;
};

}  // namespace carrel
