// What the cases of jobs in a host's transactions share. The same ones run over SQLite,
// PostgreSQL and MariaDB.
#pragma once

#include <carrel/engine.h>
#include <carrel/sql.h>
#include <carrel/sql_transaction.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/soci.h>

#include <chrono>
#include <iosfwd>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "transaction_clients.h"

namespace carrel::test {

using namespace std::chrono_literals;

// Far more than any machine needs; a test that comes this far has failed.
inline constexpr Duration kLong = 60s;

struct Kind {
  const char* name;
  const char* backend;  // SOCI's
  std::string (*url)();
  std::string (*connect)();
  void (*clean)();                          // no tables
  std::unique_ptr<HostClient> (*client)();  // without SOCI
  sql::Dialect dialect;
};
void PrintTo(const Kind& kind, std::ostream* out);
extern const Kind kPostgres;
extern const Kind kMariadb;

// A session that undoes what was not committed.
class Db {
 public:
  explicit Db(const Kind& kind) : session_(kind.backend, kind.connect()) {}
  soci::session& operator*() { return session_; }
  void begin() { session_ << (is("sqlite3") ? "BEGIN IMMEDIATE" : "BEGIN"); }
  void commit() { session_ << "COMMIT"; }
  void rollback() { session_ << "ROLLBACK"; }
  void charge(long long job) {
    session_ << "INSERT INTO ledger (job) VALUES (:job)", soci::use(job, "job");
  }
  long long number(const std::string& sql) {
    long long n = -1;
    session_ << sql, soci::into(n);
    return n;
  }
  bool is(const char* backend) { return session_.get_backend_name() == backend; }

 private:
  soci::session session_;
};

// Of a context apart from an engine, for runs that a test claims itself.
class NoSink final : public ContextSink {
 public:
  void progress(float, std::string_view) override {}
  void checkpoint(std::string_view) override {}
  void log(std::string_view) override {}
  std::stop_token stop() override { return {}; }
  bool stopping() override { return false; }
};

class Transaction : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    kind().clean();
    Db(kind()).operator*() << "CREATE TABLE ledger (job BIGINT)";
  }
  const Kind& kind() const { return GetParam(); }

  Config config() const {
    Config config;
    config.store = kind().url();
    config.worker.concurrency = 1;
    config.worker.poll = 50ms;
    config.defaults.retry.base = 1ms;
    config.log.level = LogLevel::kOff;
    return config;
  }
  static Engine open(Config config) {
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    auto engine = Engine::open(std::move(config), std::move(registry));
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  // Its tables are there: on SQLite, making them would wait for the host's transaction.
  static Engine ignited(Config config) {
    Engine engine = open(std::move(config));
    if (auto ok = engine.ignite(); !ok) throw std::runtime_error(ok.error().message);
    return engine;
  }
  // The next job of that kind, claimed as a worker "w" does.
  static Claimed claim(Engine& engine, const std::string& kind) {
    auto runs = engine.store().claim_source()->claim({{}, {&kind, 1}, 1}, "w", 1,
                                                     Duration(1h), 0us);
    if (!runs || runs->size() != 1) throw std::runtime_error("nothing is claimed");
    return std::move(runs->front());
  }
  long long charged() { return Db(kind()).number("SELECT COUNT(*) FROM ledger"); }
  static std::uint64_t jobs(Engine& engine, State state) {
    return engine.health().value().counts.total[static_cast<std::size_t>(state)];
  }
};

}  // namespace carrel::test
