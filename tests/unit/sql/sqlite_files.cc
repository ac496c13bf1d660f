#include "sqlite_files.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <stdexcept>

namespace carrel::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string name =
      (std::filesystem::temp_directory_path() / "carrel-sql-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp: " + name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<Store>> open_url(const std::string& rest,
                                        const BackendOptions& options) {
  Registry registry;
  register_sql(registry);
  auto make = registry.store("sqlite");
  if (!make) return tl::unexpected(make.error());
  auto url = Url::parse("sqlite:" + rest);
  if (!url) return tl::unexpected(url.error());
  return (**make)(*url, options);
}

std::vector<std::string> run_sql(const std::string& file, const std::string& sql) {
  sqlite3* db = nullptr;
  std::vector<std::string> rows;
  std::string error;
  if (sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(db, 10'000);
    const auto add = [](void* out, int columns, char** values, char**) {
      if (columns > 0) {
        static_cast<std::vector<std::string>*>(out)->emplace_back(
            values[0] != nullptr ? values[0] : "");
      }
      return 0;
    };
    if (sqlite3_exec(db, sql.c_str(), add, &rows, nullptr) == SQLITE_OK) {
      sqlite3_close(db);
      return rows;
    }
  }
  error = sqlite3_errmsg(db);
  sqlite3_close(db);
  throw std::runtime_error(file + ": " + error);
}

NewJob work(std::string payload, std::string request_id) {
  NewJob job;
  job.kind = "work";
  job.payload = std::move(payload);
  job.request_id = std::move(request_id);
  return job;
}

std::vector<JobId> insert_jobs(Store& store, std::size_t n, const std::string& payload) {
  std::vector<JobId> ids;
  for (auto& answer :
       store.insert(std::vector<NewJob>(n, work(payload)), std::chrono::seconds(60))) {
    if (!answer) throw std::runtime_error(answer.error().message);
    ids.push_back(answer->id);
  }
  return ids;
}

}  // namespace carrel::test
