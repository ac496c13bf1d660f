#include "server_case.h"

#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>

#include "mariadb/driver.h"
#include "postgresql/driver.h"

namespace carrel::test {

std::unique_ptr<sql::server::Driver> driver_of(const std::string& text) {
  const Url url = Url::parse(text).value();
  if (url.scheme == "postgresql") {
    return std::make_unique<sql::postgresql::PostgresDriver>(
        sql::postgresql::settings_of(url).value());
  }
  return std::make_unique<sql::mariadb::MariadbDriver>(
      sql::mariadb::settings_of(url).value());
}

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

Kind postgres_kind() {
  return {"postgresql",
          [](int port) { return PostgresServer::tcp_url(port); },
          [] { return postgres().port(); },
          [](const std::string& sql) { return postgres().run(sql); },
          [](const std::string& signal) { postgres().stop(signal); },
          [] { postgres().start(); },
          [] { postgres().run("DROP SCHEMA public CASCADE; CREATE SCHEMA public"); },
          [] {
            return std::make_unique<soci::session>(
                soci::postgresql, "host=127.0.0.1 user=carrel dbname=carrel port=" +
                                      std::to_string(postgres().port()));
          },
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'carrel'"
          " AND state LIKE 'idle in transaction%'",
          "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
          "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'"};
}

Kind mariadb_kind() {
  return {"mariadb",
          [](int port) { return MariadbServer::tcp_url(port); },
          [] { return mariadb().port(); },
          [](const std::string& sql) { return mariadb().run(sql); },
          [](const std::string& signal) { mariadb().stop(signal); },
          [] { mariadb().start(); },
          [] { mariadb().run("DROP DATABASE carrel; CREATE DATABASE carrel"); },
          [] {
            return std::make_unique<soci::session>(
                soci::mysql, "host=127.0.0.1 user=carrel dbname=carrel port=" +
                                 std::to_string(mariadb().port()));
          },
          "SELECT COUNT(*) FROM information_schema.innodb_trx",
          "SELECT variable_value FROM information_schema.global_status"
          " WHERE variable_name = 'INNODB_DEADLOCKS'",
          "SELECT trx_query FROM information_schema.innodb_trx"
          " WHERE trx_state = 'LOCK WAIT'"};
}

Result<std::unique_ptr<Store>> open_store(const std::string& text,
                                          const BackendOptions& options) {
  Registry registry;
  register_sql(registry);
  auto url = Url::parse(text);
  if (!url) return tl::unexpected(url.error());
  return (**registry.store(url->scheme))(*url, options);
}

INSTANTIATE_TEST_SUITE_P(Of, Server, testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace carrel::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::test;
  return run_server_tests({PostgresServer::missing(), MariadbServer::missing()});
}
