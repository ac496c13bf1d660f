// Connections of a host to two databases, each within a transaction, while forked jobs
// end in every way that they can: none of them harms the connections.
#include <carrel/fork_to.h>
#include <carrel/process.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "handlers.h"
#include "inherited.h"
#include "process_test.h"
#include "servers/mariadb.h"
#include "servers/postgres.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

class Both {
 public:
  Both(const std::string& postgres, int mariadb_port)
      : postgres_(PQconnectdb(postgres.c_str()), PQfinish),
        mariadb_(mysql_init(nullptr), mysql_close) {
    if (PQstatus(postgres_.get()) != CONNECTION_OK) {
      throw std::runtime_error(PQerrorMessage(postgres_.get()));
    }
    if (mysql_real_connect(mariadb_.get(), "127.0.0.1", "carrel", nullptr, "carrel",
                           static_cast<unsigned>(mariadb_port), nullptr, 0) == nullptr) {
      throw std::runtime_error(mysql_error(mariadb_.get()));
    }
  }
  // The first value that each answers with: "1 1".
  std::string run(const std::string& sql) { return on_postgres(sql) + on_mariadb(sql); }
  // Which of its sessions each server has for them.
  std::string sessions() {
    return on_postgres("SELECT pg_backend_pid()") + " " +
           on_mariadb("SELECT connection_id()");
  }

 private:
  std::string on_postgres(const std::string& sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(
        PQexec(postgres_.get(), sql.c_str()), PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      throw std::runtime_error(PQerrorMessage(postgres_.get()));
    }
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }
  std::string on_mariadb(const std::string& sql) {
    if (mysql_query(mariadb_.get(), sql.c_str()) != 0) {
      throw std::runtime_error(mysql_error(mariadb_.get()));
    }
    const std::unique_ptr<MYSQL_RES, decltype(&mysql_free_result)> result(
        mysql_store_result(mariadb_.get()), mysql_free_result);
    if (result == nullptr) return "";
    const MYSQL_ROW row = mysql_fetch_row(result.get());
    return row != nullptr && row[0] != nullptr ? row[0] : "";
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> postgres_;
  std::unique_ptr<MYSQL, decltype(&mysql_close)> mariadb_;
};

// Static, as a careless host's: exit() in a job that ran its destructor would tell both
// servers good-bye, on sockets that it shares with the host.
std::optional<Both> connections;

// 50 jobs, each of which ends in another way. "" or what went wrong.
std::string run_jobs(Host& host) {
  for (int round = 0; round < 10; ++round) {
    const std::string n = std::to_string(round);
    const Outcome echo = host.run("echo", n);
    if (echo.result != n) return "echo: " + echo.error.message;
    for (const auto& [kind, argument, signal, code] :
         {std::tuple("abort", "", SIGABRT, 0), std::tuple("segv", "", SIGSEGV, 0),
          std::tuple("leave", "4", 0, 4), std::tuple("exit", "5", 0, 5)}) {
      const Outcome out = host.run(kind, argument);
      if (out.signal != signal || out.exit_code != code) {
        return std::string(kind) + " in round " + n + ": " +
               std::string(to_string(out.klass)) + ", signal " +
               std::to_string(out.signal) + ", code " + std::to_string(out.exit_code) +
               ", " + out.error.message;
      }
    }
    if (connections->run("SELECT count(*) FROM t") != "11") return "a row is gone";
  }
  return "";
}

// Opens both, runs the jobs within a transaction, and commits: what each then has.
Json within_transactions(const std::string& postgres, int mariadb_port,
                         const std::function<std::string()>& jobs) {
  connections.emplace(postgres, mariadb_port);
  const std::string sessions = connections->sessions();
  connections->run("BEGIN");
  connections->run("INSERT INTO t VALUES (1)");
  Json said = {jobs()};
  said.push_back(connections->sessions() == sessions);
  connections->run("COMMIT");
  said.push_back(connections->run("SELECT count(*) FROM t"));
  connections->run("DELETE FROM t");
  connections.reset();
  return said;
}

using InheritedConnections = ProcessTest;

TEST_F(InheritedConnections, MidTransaction_50JobsCrashAndExit_BothGoOn) {
  for (const auto& missing : {PostgresServer::missing(), MariadbServer::missing()}) {
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  const PostgresServer postgres;
  const MariadbServer mariadb;
  const std::string url = postgres.url();
  const int port = mariadb.port();
  Both(url, port).run("CREATE TABLE t (n int)");
  const Json right = {"", true, "11"};
  EXPECT_EQ(within_transactions(url, port, [&] { return run_jobs(fork_host()); }), right)
      << "the process server was there before the connections";

  const auto born = fork_to(120s, [&] {
    return within_transactions(url, port, [&]() -> std::string {
      const auto made = prefork(add_handlers);  // with both of them in its memory
      if (!made) return made.error().message;
      Host host("fork");
      return run_jobs(host);
    });
  });
  ASSERT_TRUE(born) << born.error().message;
  EXPECT_EQ(*born, right) << "the process server was born with the connections open";
}

TEST_F(InheritedConnections, MidTransaction_ForkToCrashesAndExits_BothGoOn) {
  for (const auto& missing : {PostgresServer::missing(), MariadbServer::missing()}) {
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  const PostgresServer postgres;
  const MariadbServer mariadb;
  Both(postgres.url(), mariadb.port()).run("CREATE TABLE t (n int)");
  const auto jobs = [&]() -> std::string {
    for (int i = 0; i < 50; ++i) {
      const auto answer = fork_to(60s, [&] {
        if (i % 3 == 0) std::abort();
        if (i % 3 == 1) std::exit(3);
        return i;
      });
      if (answer.has_value() != (i % 3 == 2)) return "run " + std::to_string(i);
    }
    return "";
  };
  EXPECT_EQ(within_transactions(postgres.url(), mariadb.port(), jobs),
            (Json{"", true, "11"}));
}

}  // namespace
}  // namespace carrel::test
