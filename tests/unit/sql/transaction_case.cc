#include "transaction_case.h"

#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <filesystem>
#include <memory>

#include "servers/program.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

std::unique_ptr<TemporaryDirectory> files;

std::string file() { return files->file("jobs.db"); }

const Kind kSqlite{"sqlite",
                   "sqlite3",
                   [] { return "sqlite:" + file(); },
                   [] { return "dbname=\"" + file() + "\" timeout=10"; },
                   [] {
                     for (const char* part : {"", "-wal", "-shm", "-gate"}) {
                       std::filesystem::remove(file() + part);
                     }
                   },
                   [] { return sqlite_client(file()); },
                   sql::Dialect::kSqlite};

}  // namespace

const Kind kPostgres{"postgresql",
                     "postgresql",
                     [] { return postgres().tcp_url(); },
                     [] {
                       return "host=127.0.0.1 user=carrel dbname=carrel port=" +
                              std::to_string(postgres().port());
                     },
                     [] {
                       postgres().run(
                           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE datname = 'carrel' AND pid <> pg_backend_pid()");
                       postgres().run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
                     },
                     [] { return postgresql_client(kPostgres.connect()); },
                     sql::Dialect::kPostgresql};

const Kind kMariadb{"mariadb",
                    "mysql",
                    [] { return mariadb().tcp_url(); },
                    [] {
                      return "host=127.0.0.1 user=carrel dbname=carrel port=" +
                             std::to_string(mariadb().port());
                    },
                    [] { mariadb().run("DROP DATABASE carrel; CREATE DATABASE carrel"); },
                    [] { return mariadb_client(mariadb().port()); },
                    sql::Dialect::kMariadb};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

INSTANTIATE_TEST_SUITE_P(, Transaction, testing::Values(kSqlite, kPostgres, kMariadb),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace carrel::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::test;
  soci::register_factory_sqlite3();
  soci::register_factory_postgresql();
  soci::register_factory_mysql();
  files = std::make_unique<TemporaryDirectory>();
  const int code =
      run_server_tests({PostgresServer::missing(), MariadbServer::missing()});
  files.reset();
  return code;
}
