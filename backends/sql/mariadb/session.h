// One connection to a MariaDB server.
#pragma once

#include <soci/mysql/soci-mysql.h>

#include <chrono>
#include <string>

#include "server/session.h"

namespace carrel::sql::mariadb {

class MariadbSession final : public server::Session {
 public:
  // Throws soci::soci_error.
  MariadbSession(const std::string& connect, server::Watchdog& dog,
                 std::chrono::milliseconds lock_wait,
                 std::chrono::seconds idle_transaction);

  Time begin() override;
  void commit() override;
  void rollback() override;
  void lose_patience() override { patient_ = false; }
  bool is_patient() const noexcept override { return patient_; }
  void begin_reading() override;
  Time now() override;
  void run_together(const std::string& statements, const EachRow& each) override;

  // Runs one or more statements without parameters; the first column of the last row of
  // them all, if there is one. Throws soci::mysql_soci_error.
  std::string execute(const std::string& sql);

 private:
  MYSQL* native();

  bool patient_ = true;
};

}  // namespace carrel::sql::mariadb
