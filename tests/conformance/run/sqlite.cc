// The suites on SQLite files, and on the memory queue beside one.
#include <carrel/conformance/pair.h>
#include <carrel/conformance/store.h>
#include <carrel/memory.h>
#include <carrel/sql.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

namespace {

using namespace carrel;
namespace fs = std::filesystem;

// The databases of one harness: each create() begins with a new file in it.
class Files {
 public:
  Files() {
    std::string name = (fs::temp_directory_path() / "carrel-conformance-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder " + name);
    folder_ = name;
    register_sql(registry_);
  }
  ~Files() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  Result<std::unique_ptr<Store>> create(const BackendOptions& options) {
    ++number_;
    return reopen(options);
  }
  Result<std::unique_ptr<Store>> reopen(const BackendOptions& options) {
    auto url = Url::parse("sqlite:" + file());
    if (!url) return tl::unexpected<Error>(std::move(url.error()));
    const auto make = registry_.store("sqlite");
    if (!make) return tl::unexpected<Error>(make.error());
    return (**make)(*url, options);
  }
  // AUTOINCREMENT goes on after the highest id that its table knows.
  Result<void> skip_ids(JobId next) {
    sqlite3* db = nullptr;
    std::string said;
    if (sqlite3_open(file().c_str(), &db) == SQLITE_OK) {
      sqlite3_busy_timeout(db, 60'000);
      const std::string last = std::to_string(value(next) - 1);
      const std::string sql =
          "INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq) VALUES ("
          "(SELECT rowid FROM sqlite_sequence WHERE name = 'carrel_jobs'), 'carrel_jobs', " +
          last + ")";
      if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        said = sqlite3_errmsg(db);
      }
    } else {
      said = "cannot open " + file();
    }
    sqlite3_close(db);
    if (said.empty()) return {};
    return fail(Code::kInternal, said);
  }

 private:
  std::string file() const {
    return (folder_ / ("jobs-" + std::to_string(number_) + ".db")).string();
  }

  fs::path folder_;
  int number_ = 0;
  Registry registry_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  Files files;
  const conformance::StoreHarness store = {
      .name = "sqlite",
      .create = [&](const BackendOptions& o) { return files.create(o); },
      .reopen = [&](const BackendOptions& o) { return files.reopen(o); },
      .skip_ids = [&](JobId next) { return files.skip_ids(next); }};
  conformance::register_store_tests(store);
  conformance::register_pair_tests({.name = "sqlite-fused", .store = store});
  conformance::register_pair_tests(
      {.name = "memory-x-sqlite",
       .store = store,
       .queue = [](const BackendOptions&) -> Result<std::unique_ptr<Queue>> {
         return make_memory_queue();
       }});
  return RUN_ALL_TESTS();
}
