// The conformance suites over the PostgreSQL store: alone, as its own queue, and beside
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
using carrel::test::PostgresServer;

// Each store has a schema of its own, with a clock that the test can put forward.
class Place {
 public:
  Place(PostgresServer& server, std::string options)
      : server_(server), options_(std::move(options)) {}

  Result<std::unique_ptr<Store>> create(const BackendOptions& options) {
    if (made_ > 0) server_.run("DROP SCHEMA " + schema() + " CASCADE");
    ++made_;
    server_.run("CREATE SCHEMA " + schema());
    auto store = open(options);
    if (!store) return store;
    server_.run("SET search_path = " + schema() +
                "; CREATE TABLE test_ahead AS SELECT 0::bigint AS us;"
                "CREATE OR REPLACE VIEW carrel_clock AS"
                " SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
                " + (SELECT us FROM test_ahead) AS now_us");
    return store;
  }

  Result<std::unique_ptr<Store>> open(const BackendOptions& options) const {
    carrel::Registry registry;
    carrel::register_sql(registry);
    auto url = carrel::Url::parse(server_.url() + "?options=-csearch_path%3D" + schema() +
                                  options_);
    if (!url) return tl::unexpected(url.error());
    return (**registry.store("postgresql"))(*url, options);
  }

  void advance(Duration by) const {
    server_.run("UPDATE " + schema() + ".test_ahead SET us = us + " +
                std::to_string(by.count()));
  }

  Result<void> skip_ids(carrel::JobId next) const {
    server_.run("SELECT setval('" + schema() + ".carrel_job_id', " +
                std::to_string(value(next) - 1) + ")");
    return {};
  }

 private:
  std::string schema() const { return "s" + std::to_string(made_); }

  PostgresServer& server_;
  const std::string options_;
  int made_ = 0;
};

StoreHarness harness_of(const std::string& name, PostgresServer& server,
                        const std::string& options) {
  auto place = std::make_shared<Place>(server, options);
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
  const StoreHarness plain = harness_of("postgresql", carrel::test::postgres(), "");
  register_store_tests(plain);
  register_pair_tests({.name = "postgresql_fused", .store = plain});
  register_pair_tests(
      {.name = "memory_postgresql",
       .store = plain,
       .queue = [](const BackendOptions&) -> Result<std::unique_ptr<carrel::Queue>> {
         return carrel::make_memory_queue();
       }});
  return carrel::test::run_server_tests({PostgresServer::missing()});
}
