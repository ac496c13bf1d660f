#include <carrel/fork_to.h>
#include <carrel/process.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>

#include "handlers.h"
#include "inherited.h"
#include "process_test.h"
#include "servers/postgres.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

class Sqlite {
 public:
  explicit Sqlite(const std::string& file) {
    if (sqlite3_open(file.c_str(), &db_) != SQLITE_OK) throw std::runtime_error(error());
  }
  ~Sqlite() { sqlite3_close(db_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;
  std::string error() const { return sqlite3_errmsg(db_); }
  // The first column of the first row.
  std::string run(const char* sql) {
    std::string first;
    const auto keep = [](void* to, int, char** columns, char**) {
      auto& text = *static_cast<std::string*>(to);
      if (text.empty() && columns[0] != nullptr) text = columns[0];
      return 0;
    };
    if (sqlite3_exec(db_, sql, keep, &first, nullptr) != SQLITE_OK) {
      throw std::runtime_error(error());
    }
    return first;
  }

 private:
  sqlite3* db_ = nullptr;
};

class Postgres {
 public:
  explicit Postgres(const std::string& url) : db_(PQconnectdb(url.c_str()), PQfinish) {
    if (PQstatus(db_.get()) != CONNECTION_OK) {
      throw std::runtime_error(PQerrorMessage(db_.get()));
    }
  }
  std::string run(const char* sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(db_.get(), sql),
                                                               PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      throw std::runtime_error(PQerrorMessage(db_.get()));
    }
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> db_;
};

class InheritedTransaction : public ProcessTest {
 protected:
  InheritedTransaction()
      : file_(std::filesystem::temp_directory_path() /
              ("carrel-inherited-" + std::to_string(getpid()) + ".db")) {
    std::filesystem::remove(file_);
  }
  ~InheritedTransaction() override { std::filesystem::remove(file_); }
  const std::filesystem::path file_;
};

TEST_F(InheritedTransaction, Case23_SqliteMidTransactionInTheParent_ParentUnharmed) {
  Sqlite db(file_);
  db.run("CREATE TABLE t (n); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
  // The children begin, open the file themselves, close it, and end: a lock that one of
  // them let go of would let the next one write.
  for (int i = 0; i < 3; ++i) {
    const auto direct = fork_to(60s, [&] {
      return std::to_string(sqlite_rows(file_)) + " " + sqlite_insert(file_);
    });
    ASSERT_TRUE(direct) << direct.error().message;
    EXPECT_EQ(*direct, "0 database is locked");
    const Outcome job = fork_host().run("sqlite", Json(file_).dump());
    EXPECT_EQ(job.result, "\"0 database is locked\"") << job.error.message;
  }
  db.run("COMMIT");
  EXPECT_EQ(db.run("SELECT count(*) FROM t"), "1");
  EXPECT_EQ(db.run("PRAGMA integrity_check"), "ok");
}

TEST_F(InheritedTransaction, Case23_SqliteMidTransaction_TheServerIsBornThen) {
  const auto words = fork_to(60s, [&]() -> Json {
    Sqlite db(file_);
    db.run("CREATE TABLE t (n); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    Json said = {born_now("sqlite", file_)};
    db.run("COMMIT");
    said.push_back(db.run("SELECT count(*) FROM t"));
    said.push_back(db.run("PRAGMA integrity_check"));
    return said;
  });
  ASSERT_TRUE(words) << words.error().message;
  EXPECT_EQ(*words, Json({"\"0 database is locked\"", "1", "ok"}));
}

TEST_F(InheritedTransaction, Case24_LibpqMidTransactionInTheParent_ParentUnharmed) {
  if (const auto missing = PostgresServer::missing(); !missing.empty()) {
    GTEST_SKIP() << missing;
  }
  const PostgresServer server;
  const std::string url = server.url();
  Postgres db(url);
  db.run("CREATE TABLE t (n int)");
  const std::string backend = db.run("SELECT pg_backend_pid()");
  db.run("BEGIN; INSERT INTO t VALUES (1)");
  for (int i = 0; i < 3; ++i) {
    const auto direct = fork_to(60s, [&] { return postgres_rows(url); });
    ASSERT_TRUE(direct) << direct.error().message;
    EXPECT_EQ(*direct, 0);
    const Outcome job = fork_host().run("postgres", Json(url).dump());
    EXPECT_EQ(job.result, "0") << job.error.message;
  }
  db.run("COMMIT");
  EXPECT_EQ(db.run("SELECT count(*) FROM t"), "1");
  EXPECT_EQ(db.run("SELECT pg_backend_pid()"), backend) << "the same connection";

  const auto words = fork_to(60s, [&]() -> Json {
    Postgres own(url);
    own.run("BEGIN; INSERT INTO t VALUES (2)");
    Json said = {born_now("postgres", url)};
    own.run("COMMIT");
    said.push_back(own.run("SELECT count(*) FROM t"));
    return said;
  });
  ASSERT_TRUE(words) << words.error().message;
  EXPECT_EQ(*words, Json({"1", "2"}));
}

}  // namespace

std::int64_t sqlite_rows(const std::string& file) {
  return std::stoll(Sqlite(file).run("SELECT count(*) FROM t"));
}

std::string sqlite_insert(const std::string& file) {
  try {
    Sqlite(file).run("INSERT INTO t VALUES (2)");
    return "";
  } catch (const std::runtime_error& refused) {
    return refused.what();
  }
}

std::int64_t postgres_rows(const std::string& url) {
  return std::stoll(Postgres(url).run("SELECT count(*) FROM t"));
}

std::string born_now(const std::string& job, const std::string& argument) {
  const auto made = prefork([](Handlers& handlers) {
    add_handlers(handlers);
    add_inherited_handlers(handlers);
  });
  if (!made) return made.error().message;
  Host host("fork");
  const Outcome out = host.run(job, Json(argument).dump());
  return out.klass == OutcomeClass::kOk ? out.result : out.error.message;
}

void add_inherited_handlers(Handlers& handlers) {
  handlers.handle("sqlite", [](Context& job) {
    const std::string file = job.args();
    return std::to_string(sqlite_rows(file)) + " " + sqlite_insert(file);
  });
  handlers.handle("postgres", [](Context& job) {
    return postgres_rows(job.args().get<std::string>());
  });
  handlers.handle("zmq", [](Context&) { return zmq_exchange(); });
}

}  // namespace carrel::test
