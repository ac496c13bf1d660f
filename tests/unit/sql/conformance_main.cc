// The conformance suites over the SQLite store: alone, as its own queue, and beside the
// memory queue.
#include <carrel/conformance/pair.h>
#include <carrel/conformance/store.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sqlite_files.h"

namespace {

using carrel::BackendOptions;
using carrel::Result;
using carrel::Store;
using carrel::conformance::StoreHarness;

// The same suite under each setting that changes how the file is written.
StoreHarness sqlite_harness(const std::string& name, const std::string& query) {
  struct Place {
    carrel::test::TemporaryDirectory directory;
    int made = 0;
    std::string file() const { return directory.file(std::to_string(made) + ".db"); }
  };
  auto place = std::make_shared<Place>();
  StoreHarness harness;
  harness.name = name;
  harness.create = [place, query](const BackendOptions& options) {
    ++place->made;
    return carrel::test::open_url(place->file() + query, options);
  };
  harness.reopen = [place, query](const BackendOptions& options) {
    return carrel::test::open_url(place->file() + query, options);
  };
  harness.skip_ids = [place](carrel::JobId next) -> Result<void> {
    const std::string last = std::to_string(value(next) - 1);
    carrel::test::run_sql(place->file(),
                          "DELETE FROM sqlite_sequence WHERE name = 'carrel_jobs';"
                          "INSERT INTO sqlite_sequence VALUES ('carrel_jobs', " +
                              last + ")");
    return {};
  };
  return harness;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::conformance;
  const StoreHarness full = sqlite_harness("sqlite", "");
  register_store_tests(full);
  register_store_tests(sqlite_harness("sqlite_normal", "?synchronous=NORMAL"));
  register_pair_tests({.name = "sqlite_fused", .store = full});
  register_pair_tests(
      {.name = "memory_sqlite",
       .store = full,
       .queue = [](const BackendOptions&) -> Result<std::unique_ptr<carrel::Queue>> {
         return carrel::make_memory_queue();
       }});
  return RUN_ALL_TESTS();
}
