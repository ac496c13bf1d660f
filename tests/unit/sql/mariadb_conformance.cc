// The conformance suites over the MariaDB store: alone, as its own queue, and beside
// the memory queue.
#include <carrel/conformance/pair.h>
#include <carrel/conformance/store.h>
#include <carrel/memory.h>
#include <carrel/sql.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "servers/program.h"

namespace {

using carrel::BackendOptions;
using carrel::Duration;
using carrel::Result;
using carrel::Store;
using carrel::conformance::StoreHarness;
using carrel::test::MariadbServer;

// A database of its own for each harness, with a clock that the test can put forward.
class Place {
 public:
  explicit Place(MariadbServer& server) : server_(server) {}

  Result<std::unique_ptr<Store>> create(const BackendOptions& options) {
    // Emptying the tables is much quicker than making them again.
    const bool first = !made_;
    if (first) {
      server_.run("CREATE DATABASE " + std::string(kDatabase));
    } else {
      for (const char* table :
           {"jobs", "history", "requests", "payloads", "notes", "attempts", "paused",
            "tally", "limits", "unique", "rates", "starts", "rate_keys"}) {
        server_.run("DELETE FROM carrel_" + std::string(table), kDatabase);
      }
      server_.run("UPDATE test_ahead SET us = 0", kDatabase);
    }
    made_ = true;
    auto store = open(options);
    if (!store || !first) return store;
    server_.run(
        "CREATE TABLE test_ahead (us BIGINT NOT NULL);"
        "INSERT INTO test_ahead VALUES (0);"
        "CREATE OR REPLACE VIEW carrel_clock AS"
        " SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
        " + (SELECT us FROM test_ahead) AS now_us",
        kDatabase);
    return store;
  }

  Result<std::unique_ptr<Store>> open(const BackendOptions& options) const {
    carrel::Registry registry;
    carrel::register_sql(registry);
    auto url = carrel::Url::parse(server_.url(kDatabase));
    if (!url) return tl::unexpected(url.error());
    return (**registry.store("mysql"))(*url, options);
  }

  void advance(Duration by) const {
    server_.run("UPDATE test_ahead SET us = us + " + std::to_string(by.count()),
                kDatabase);
  }

  Result<void> skip_ids(carrel::JobId next) const {
    server_.run("SELECT SETVAL(carrel_job_id, " + std::to_string(value(next) - 1) + ")",
                kDatabase);
    return {};
  }

 private:
  static constexpr const char* kDatabase = "test";

  MariadbServer& server_;
  bool made_ = false;
};

StoreHarness harness_of(const std::string& name, MariadbServer& server) {
  auto place = std::make_shared<Place>(server);
  StoreHarness harness;
  harness.name = name;
  harness.create = [place](const BackendOptions& o) { return place->create(o); };
  harness.reopen = [place](const BackendOptions& o) { return place->open(o); };
  harness.advance = [place](Duration by) { place->advance(by); };
  harness.skip_ids = [place](carrel::JobId next) { return place->skip_ids(next); };
  return harness;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::conformance;
  const StoreHarness plain = harness_of("mariadb", carrel::test::mariadb());
  register_store_tests(plain);
  register_pair_tests({.name = "mariadb_fused", .store = plain});
  register_pair_tests(
      {.name = "memory_mariadb",
       .store = plain,
       .queue = [](const BackendOptions&) -> Result<std::unique_ptr<carrel::Queue>> {
         return carrel::make_memory_queue();
       }});
  return carrel::test::run_server_tests({MariadbServer::missing()});
}
