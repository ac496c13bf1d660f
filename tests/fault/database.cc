#include "database.h"

#include <carrel/clock.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <thread>

#include "servers/mariadb.h"
#include "servers/postgres.h"
#include "servers/stepped_clock.h"

namespace carrel::fault {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOrphans =
    "SELECT COUNT(*) FROM carrel_requests q"
    " LEFT JOIN carrel_jobs j ON j.id = q.job"
    " LEFT JOIN carrel_history h ON h.id = q.job WHERE j.id IS NULL AND h.id IS NULL";

// By clients' sessions: each transaction that is open holds one, on its own number; and
// by transactions that were prepared, which have no session. Not by the server itself.
constexpr const char* kHeldPostgresql =
    "SELECT concat_ws(' ', l.locktype, l.mode, l.relation::regclass, 'by a session',"
    " coalesce(a.state, 'gone'), 'after', a.query)"
    " FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)"
    " WHERE pid IS DISTINCT FROM pg_backend_pid()"
    " AND coalesce(a.backend_type, 'client backend') = 'client backend'";

// Transactions, and the turn to make the tables.
constexpr const char* kHeldMariadb =
    "SELECT CONCAT_WS(' ', 'a transaction of session', trx_mysql_thread_id, 'that is',"
    " trx_state, 'with', trx_rows_locked, 'rows locked', trx_query)"
    " FROM information_schema.innodb_trx"
    " UNION ALL SELECT CONCAT('GET_LOCK by session ', holder) FROM"
    " (SELECT IS_USED_LOCK(CONCAT('carrel_', DATABASE())) AS holder) AS turn"
    " WHERE holder IS NOT NULL";

template <class Server>
std::vector<std::string> rows_left(const Server& server) {
  std::vector<std::string> wrong;
  const auto none = [&](const char* what, const std::string& sql) {
    const std::string n = server.run(sql).at(0);
    if (n != "0") wrong.push_back(n + what);
  };
  none(" rows are not final", "SELECT COUNT(*) FROM carrel_jobs");
  none(" request ids are without a job", kOrphans);
  return wrong;
}

// Adds what locks are held. Workers that rest look for work again and again, which takes
// a moment: what is held, each look finds.
template <class Look>
void add_held(Look look, std::vector<std::string>& wrong) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  std::vector<std::string> held = look();
  while (!held.empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    held = look();
  }
  for (std::string& lock : held) wrong.push_back("held at rest: " + std::move(lock));
}

std::uintmax_t size_of(const fs::path& file) {
  std::error_code none;
  const std::uintmax_t size = fs::file_size(file, none);
  return none ? 0 : size;
}

// With no patience. Calls throw std::runtime_error.
class SqliteSession {
 public:
  explicit SqliteSession(const fs::path& file) {
    if (sqlite3_open(file.c_str(), &db_) == SQLITE_OK) return;
    const std::string why = sqlite3_errmsg(db_);
    sqlite3_close(db_);  // there is one all the same
    throw std::runtime_error(why);
  }
  ~SqliteSession() { sqlite3_close(db_); }
  SqliteSession(const SqliteSession&) = delete;
  SqliteSession& operator=(const SqliteSession&) = delete;

  // The rows' first columns.
  std::vector<std::string> run(const char* sql) {
    std::vector<std::string> rows;
    const auto hear = [](void* to, int, char** text, char**) {
      static_cast<std::vector<std::string>*>(to)->emplace_back(text[0]);
      return 0;
    };
    if (sqlite3_exec(db_, sql, hear, &rows, nullptr) != SQLITE_OK) fail();
    return rows;
  }

 private:
  [[noreturn]] void fail() const { throw std::runtime_error(sqlite3_errmsg(db_)); }

  sqlite3* db_ = nullptr;
};

// The system's, as this process is told that it has stepped.
class ToldClock final : public Clock {
 public:
  Time now() const noexcept override { return system_clock().now() + off_.load(); }
  void set(std::chrono::seconds to) { off_ = to; }

 private:
  std::atomic<std::chrono::seconds> off_{std::chrono::seconds(0)};
};

class SqliteFile final : public Database {
 public:
  explicit SqliteFile(const DatabaseOptions& options)
      : file_(options.folder / "jobs.db") {
    if (options.own_clock) others_clock_.emplace(options.folder);
  }
  std::string url() const override { return "sqlite:" + file_.string(); }
  void set_clock(std::chrono::seconds to) override {
    others_clock_.value().set(to);
    clock_.set(to);
  }
  std::vector<std::string> by_clock(std::vector<std::string> command) const override {
    return others_clock_.value().around(std::move(command));
  }
  const Clock* clock() const override { return &clock_; }
  std::vector<std::string> unsound() override {
    std::vector<std::string> wrong;
    try {
      SqliteSession session(file_);
      wrong = session.run("PRAGMA integrity_check");
      std::erase(wrong, "ok");
      const std::string left =
          session.run("SELECT count(*) FROM carrel_jobs WHERE state < 5").at(0);
      if (left != "0") wrong.push_back(left + " rows are not final");
    } catch (const std::runtime_error& e) {
      wrong.emplace_back(e.what());
    }
    add_held([this] { return held(); }, wrong);
    return wrong;
  }
  std::vector<Growth> growth() override {
    return {{"jobs.db", size_of(file_)},
            {"jobs.db-wal", size_of(file_.string() + "-wal")}};
  }

 private:
  // As who writes to the file, with no patience.
  std::vector<std::string> held() const {
    const std::string name = file_.string() + "-gate";
    const int gate = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
    std::vector<std::string> held;
    if (::flock(gate, LOCK_EX | LOCK_NB) != 0) {
      held.emplace_back("the gate");
    } else {
      try {
        SqliteSession session(file_);
        // Something new, which no snapshot has: one of a log that is all in the file
        // would be in nobody's way. Not TRUNCATE: how long the log has grown is to be
        // seen.
        session.run("BEGIN IMMEDIATE; PRAGMA user_version = 0; COMMIT");
        if (session.run("PRAGMA wal_checkpoint(RESTART)").at(0) != "0") {
          held.emplace_back("a snapshot");
        }
      } catch (const std::runtime_error& e) {
        held.emplace_back(e.what());
      }
    }
    ::close(gate);
    return held;
  }

  const fs::path file_;
  ToldClock clock_;
  std::optional<test::SteppedClock> others_clock_;
};

class Postgresql final : public Database {
 public:
  explicit Postgresql(const DatabaseOptions& options)
      : server_(test::PostgresServer::Disk::kCareless,
                {options.within, options.own_clock}) {}
  std::string url() const override { return server_.tcp_url(); }
  std::uint16_t port() const override {
    return static_cast<std::uint16_t>(server_.port());
  }
  std::string url(std::uint16_t port) const override { return server_.tcp_url(port); }
  void restart(const char* signal) override {
    server_.stop(signal);
    server_.start();
  }
  void set_clock(std::chrono::seconds to) override { server_.set_clock(to); }
  std::vector<std::string> unsound() override {
    server_.run("CREATE EXTENSION IF NOT EXISTS amcheck");
    auto wrong = rows_left(server_);
    try {
      server_.run(
          "SELECT bt_index_check(c.oid, true) FROM pg_class c"
          " JOIN pg_index i ON i.indexrelid = c.oid"
          " WHERE c.relname LIKE 'carrel%' AND i.indisvalid");
    } catch (const std::runtime_error& e) {
      wrong.emplace_back(e.what());
    }
    add_held([this] { return server_.run(kHeldPostgresql); }, wrong);
    return wrong;
  }
  std::vector<Growth> growth() override {
    const auto bytes = [&](const std::string& sql) {
      return std::stoull(server_.run(sql).at(0));
    };
    // What a round has freed is to be used by the next. Not left to autovacuum, which
    // looks at a database once a minute of its server's life: a round is shorter, and
    // ends one by force. Where pages are free is not in the log, so what has not got to
    // the disk is forgotten then.
    server_.run("VACUUM (TRUNCATE off) carrel_jobs");
    server_.run("CHECKPOINT");
    // What it keeps of its log anyway is no growth.
    return {{"pg_wal", bytes("SELECT greatest(sum(size), pg_size_bytes("
                             "current_setting('min_wal_size')))::bigint"
                             " FROM pg_ls_waldir()")},
            {"carrel_jobs", bytes("SELECT pg_total_relation_size('carrel_jobs')")}};
  }

 private:
  test::PostgresServer server_;
};

class Mariadb final : public Database {
 public:
  explicit Mariadb(const DatabaseOptions& options)
      : server_(test::MariadbServer::Disk::kCareless,
                {options.within, options.own_clock}) {}
  std::string url() const override { return server_.tcp_url(); }
  std::uint16_t port() const override {
    return static_cast<std::uint16_t>(server_.port());
  }
  std::string url(std::uint16_t port) const override { return server_.tcp_url(port); }
  void restart(const char* signal) override {
    server_.stop(signal);
    server_.start();
  }
  void set_clock(std::chrono::seconds to) override { server_.set_clock(to); }
  std::vector<std::string> unsound() override {
    auto wrong = rows_left(server_);
    for (const std::string& table : server_.run("SHOW TABLES LIKE 'carrel%'")) {
      if (table == "carrel_clock" || table == "carrel_job_id") continue;
      // A row a message; a table that is sound has one.
      if (server_.run("CHECK TABLE " + table + " EXTENDED").size() != 1) {
        wrong.push_back(table + " is damaged");
      }
    }
    const auto look = [this] {
      // The server tells again what it has told within the last 100 ms.
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      return server_.run(kHeldMariadb);
    };
    add_held(look, wrong);
    return wrong;
  }
  std::vector<Growth> growth() override {
    const auto bytes = [&](const std::string& name) {
      return std::stoull(
          server_
              .run("SELECT SUM(FILE_SIZE) FROM information_schema.INNODB_SYS_TABLESPACES"
                   " WHERE NAME = '" +
                   name + "'")
              .at(0));
    };
    return {{"innodb_system", bytes("innodb_system")},  // with what undoes transactions
            {"carrel_jobs", bytes("carrel/carrel_jobs")}};
  }

 private:
  test::MariadbServer server_;
};

template <class Kind>
std::unique_ptr<Database> start(const DatabaseOptions& options) {
  return std::make_unique<Kind>(options);
}

std::string nothing() { return {}; }

constexpr std::uintmax_t kMegabyte = 1 << 20;

}  // namespace

void PrintTo(const DatabaseKind* kind, std::ostream* out) { *out << kind->name; }

const DatabaseKind kSqlite = {"sqlite", &nothing, false,
                              8 * kMegabyte,  // its log grows to 4
                              &start<SqliteFile>};
const DatabaseKind kPostgresql = {"postgresql", &test::PostgresServer::missing, true,
                                  80 * kMegabyte, &start<Postgresql>};
const DatabaseKind kMariadb = {"mariadb", &test::MariadbServer::missing, true,
                               64 * kMegabyte, &start<Mariadb>};

}  // namespace carrel::fault
