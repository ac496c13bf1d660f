// Frees calls that are stuck: a query that was sent into a black hole is heard of neither
// by time-outs of TCP nor by keep-alives, but its wait ends at once when its socket is
// shut down.
#pragma once

#include <carrel/result.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

namespace carrel::sql::server {

class Watchdog {
 public:
  // `limit`: how long a call may take. A stuck one ends up to a quarter later.
  explicit Watchdog(Duration limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // One connection's socket. Destroyed before the socket is closed. Used by one thread at
  // a time.
  class Watched {
   public:
    Watched(Watchdog& dog, int socket);
    ~Watched();
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    // Around every call that waits for the server.
    void begin() noexcept;
    void end() noexcept { deadline_ = 0; }
    // The socket was shut down: a call took too long.
    bool bitten() const noexcept { return bitten_; }
    // Open, and nothing is to be read.
    bool is_quiet() const noexcept;
    // Shuts the socket down, so that nothing more waits for it.
    void cut() noexcept;

   private:
    friend class Watchdog;
    Watchdog& dog_;
    const int socket_;
    std::atomic<std::int64_t> deadline_{0};  // of the call under way; 0: none is
    std::atomic<bool> bitten_{false};
    std::list<Watched*>::iterator place_;
  };

 private:
  void loop() noexcept;

  const Duration limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Watched*> watched_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace carrel::sql::server
