// How a store reaches its PostgreSQL server, and what its errors mean.
#pragma once

#include <memory>

#include "postgresql/session.h"
#include "postgresql/url.h"
#include "server/driver.h"

namespace carrel::sql::postgresql {

inline constexpr const char* kOrigin = "postgresql";

class PostgresDriver final : public server::Driver {
 public:
  explicit PostgresDriver(Settings settings);

  const server::Statements& statements() const noexcept override;
  const char* origin() const noexcept override { return kOrigin; }
  // Far below what a parameter may have, which is 1 GB with two digits a byte.
  std::uint64_t max_payload() const noexcept override { return 64ULL << 20; }
  std::unique_ptr<server::Session> connect() override;
  server::Failure failure(server::Session* session) noexcept override;

  const Settings& settings() const noexcept { return settings_; }
  std::unique_ptr<PostgresSession> connect_to_listen();
  std::unique_ptr<PostgresSession> connect_plainly();

 private:
  const Settings settings_;
  server::Watchdog dog_;
};

}  // namespace carrel::sql::postgresql
