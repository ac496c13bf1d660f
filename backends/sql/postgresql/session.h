// One connection to a PostgreSQL server.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <string>

#include "server/session.h"

namespace carrel::sql::postgresql {

class PostgresSession final : public server::Session {
 public:
  // Throws soci::soci_error.
  PostgresSession(const std::string& connect, bool prepare, server::Watchdog& dog);

  // From now on.
  void limit_waits(std::chrono::milliseconds lock, std::chrono::milliseconds idle);

  Time begin() override;
  void commit() override;
  void rollback() override;
  void lose_patience() override;
  void begin_reading() override;
  Time now() override;
  void forget_text(soci::statement& statement) override;

  PGconn* native();
  bool is_broken() { return timed_out() || PQstatus(native()) == CONNECTION_BAD; }

  // Runs one or more statements without parameters; the first column of the last one's
  // first row, if there is one. Throws soci::postgresql_soci_error.
  std::string execute(const char* sql);

 private:
  using PgResult = std::unique_ptr<PGresult, decltype(&PQclear)>;
  PgResult run(const char* sql);

  std::string begin_;
};

}  // namespace carrel::sql::postgresql
