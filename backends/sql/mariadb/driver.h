// How a store reaches its MariaDB server, and what its errors mean.
#pragma once

#include <atomic>
#include <memory>

#include "mariadb/lane_plans.h"
#include "mariadb/session.h"
#include "mariadb/url.h"
#include "server/driver.h"

namespace carrel::sql::mariadb {

inline constexpr const char* kOrigin = "mysql";

class MariadbDriver final : public server::Driver {
 public:
  explicit MariadbDriver(Settings settings);

  const server::Statements& statements() const noexcept override;
  const char* origin() const noexcept override { return kOrigin; }
  std::uint64_t max_payload() const noexcept override { return max_payload_; }
  std::unique_ptr<server::Session> connect() override { return connect_plainly(); }
  server::Failure failure(server::Session* session) noexcept override;
  void mend_plans(server::Session& session) override { plans_.mend(session); }

  std::unique_ptr<MariadbSession> connect_plainly();

 private:
  // Asks the server how long a statement may be: each time, as it may be another's by now.
  void learn_limits(MariadbSession& session);

  const Settings settings_;
  server::Watchdog dog_;
  std::atomic<std::uint64_t> max_payload_{1U << 20};
  LanePlans plans_;
};

}  // namespace carrel::sql::mariadb
