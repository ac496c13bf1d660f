// The news of a server that tells none: it is asked now and then, while anybody waits.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "server/driver.h"

namespace carrel::sql::server {

// Wakes who may find something: the lanes that `look` sees, and everybody who waits for
// the end of a job. Does nothing while nobody waits.
using LookForLanes = std::function<Result<std::vector<Lane>>()>;
void look_around(Waiters& waiters, const LookForLanes& look);

class Poller final : public News {
 public:
  // `waiters` and what `look` needs outlive this.
  Poller(const BackendOptions& options, Waiters& waiters, LookForLanes look);
  ~Poller() override;

  void tell(std::span<const Lane>, bool) noexcept override {}
  void listen() noexcept override;

 private:
  void loop() noexcept;

  const Duration poll_;
  Waiters& waiters_;
  const LookForLanes look_;
  const LogFn log_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::atomic<bool> started_{false};
  std::thread thread_;
};

}  // namespace carrel::sql::server
