// News between the processes of one database, by LISTEN and NOTIFY on a connection of
// their own; and the poll that is always on, as news may be lost.
//
// A thread for each; that for news is started when somebody first waits or has something
// to tell. What is told within a few milliseconds goes out together: NOTIFY takes a lock
// of the whole server at commit, which is why it is not part of the transactions that it
// tells of.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "postgresql/driver.h"
#include "server/connection.h"
#include "server/poller.h"
#include "waiters.h"

namespace carrel::sql::postgresql {

class Listener final : public server::News {
 public:
  // `waiters` and what `look` needs outlive this.
  Listener(std::shared_ptr<PostgresDriver> driver, const BackendOptions& options,
           Waiters& waiters, server::LookForLanes look);
  ~Listener() override;

  void tell(std::span<const Lane> lanes, bool ended) noexcept override;
  void listen() noexcept override;

 private:
  using Clock = std::chrono::steady_clock;

  void start();  // mutex_ held
  void wake() noexcept;
  void loop() noexcept;
  void connect();
  void drop(const char* what) noexcept;
  void wait();
  void hear();
  void heard(const std::string& payload);
  void send();
  bool stopping();

  const std::shared_ptr<PostgresDriver> driver_;
  const BackendOptions options_;
  Waiters& waiters_;
  const server::LookForLanes look_;
  const int event_;  // wakes the thread
  // On a thread of its own: connecting may take as long as a call may.
  server::Poller poller_;

  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::size_t> lanes_;  // to tell of
  bool ended_ = false;                                                // to tell of
  bool stopping_ = false;
  std::atomic<bool> started_{false};
  std::thread thread_;

  // Of the thread alone.
  std::unique_ptr<PostgresSession> session_;
  server::Backoff backoff_;
  Clock::time_point next_send_{};
  bool looks_ = false;  // something was missed
  bool warned_ = false;
};

}  // namespace carrel::sql::postgresql
