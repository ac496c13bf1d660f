// The engine's event loop: one thread that runs a Boost.Asio io_context. Timers and the
// pipes of children live on it; nothing that runs there may block.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

namespace carrel {

class Reactor {
 public:
  Reactor();   // starts the thread, with every signal blocked: the host's handlers run
               // elsewhere
  ~Reactor();  // stop()
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  boost::asio::io_context& context() noexcept { return context_; }
  bool inside() const noexcept { return std::this_thread::get_id() == thread_.get_id(); }
  // Ends the loop and joins its thread; handlers that have not run by then never run.
  // Idempotent. Not from inside.
  void stop() noexcept;

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace carrel
