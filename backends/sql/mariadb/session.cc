#include "mariadb/session.h"

#include <algorithm>
#include <memory>

#include "mariadb/driver.h"

namespace carrel::sql::mariadb {
namespace {

// In whole seconds, and less than a call, which takes twice `lock`. Never 0: SKIP LOCKED
// that meets a locked row would roll the transaction back then, as of MariaDB 10.11.
std::string patience(std::chrono::milliseconds lock) {
  const auto seconds =
      std::max(std::chrono::ceil<std::chrono::seconds>(lock), std::chrono::seconds(1));
  return "SET SESSION innodb_lock_wait_timeout = " + std::to_string(seconds.count());
}

Time to_instant(const std::string& microseconds) {
  // It ended while this session was being made.
  if (microseconds.empty()) {
    throw server::Away{{Code::kUnavailable, "the server did not say its time", kOrigin}};
  }
  return Time(Duration(std::stoll(microseconds)));
}

}  // namespace

MariadbSession::MariadbSession(const std::string& connect, server::Watchdog& dog,
                               std::chrono::milliseconds lock_wait,
                               std::chrono::seconds idle_transaction)
    : Session(std::make_unique<soci::session>(soci::mysql, connect), true) {
  watch(dog, static_cast<int>(mysql_get_socket(native())));
  {
    const Call call(*this);
    mysql_set_server_option(native(), MYSQL_OPTION_MULTI_STATEMENTS_ON);
  }
  const std::string idle = std::to_string(idle_transaction.count());
  // Under REPEATABLE READ, InnoDB locks the gaps between rows, and claims of several
  // workers dead-lock.
  execute(
      "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
      " time_zone = '+00:00', tx_isolation = 'READ-COMMITTED',"
      " autocommit = 1, idle_transaction_timeout = " +
      idle + ", idle_write_transaction_timeout = " + idle +
      // Long values are read in pieces, by a recursion that would be cut off in silence.
      ", max_recursive_iterations = 4096; " + patience(lock_wait));
}

MYSQL* MariadbSession::native() {
  return static_cast<soci::mysql_session_backend*>(soci().get_backend())->conn_;
}

void MariadbSession::run_together(const std::string& statements, const EachRow& each) {
  const Call call(*this);
  MYSQL* connection = native();
  const auto failed = [&] {
    return soci::mysql_soci_error(mysql_error(connection),
                                  static_cast<int>(mysql_errno(connection)));
  };
  // Where it could not be sent that is -1, which of the next result means that there is
  // none.
  if (mysql_real_query(connection, statements.data(), statements.size()) != 0)
    throw failed();
  int status = 0;
  for (std::size_t n = 0; status == 0; ++n) {
    const std::unique_ptr<MYSQL_RES, decltype(&mysql_free_result)> result(
        mysql_store_result(connection), &mysql_free_result);
    if (result) {
      while (MYSQL_ROW row = mysql_fetch_row(result.get())) {
        each(n, {row, mysql_num_fields(result.get())});
      }
    } else if (mysql_field_count(connection) != 0) {
      status = 1;
      break;
    }
    status = mysql_next_result(connection);
  }
  if (status > 0) throw failed();
}

std::string MariadbSession::execute(const std::string& sql) {
  std::string answer;
  run_together(sql, [&](std::size_t, std::span<const char* const> cells) {
    answer = cells[0] != nullptr ? cells[0] : "";
  });
  return answer;
}

Time MariadbSession::begin() {
  patient_ = true;
  return to_instant(execute("START TRANSACTION; SELECT now_us FROM carrel_clock"));
}

void MariadbSession::begin_reading() {
  execute(
      "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
      "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

Time MariadbSession::now() {
  return to_instant(execute("SELECT now_us FROM carrel_clock"));
}

void MariadbSession::commit() { execute("COMMIT"); }

void MariadbSession::rollback() { execute("ROLLBACK"); }

}  // namespace carrel::sql::mariadb
