// A directory of its own for each test's database, and the short ways to open it.
#pragma once

#include <carrel/sql.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace carrel::test {

inline const std::vector<std::string> kWork = {"work"};  // the kinds of most cases

// Made by the constructor, removed with all that is in it by the destructor.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Opens "sqlite:<rest>" through the registry.
Result<std::unique_ptr<Store>> open_url(const std::string& rest,
                                        const BackendOptions& options = {});

// Runs SQL on a file by the bare sqlite3 library, as another program would; the first
// column of the rows. Throws std::runtime_error.
std::vector<std::string> run_sql(const std::string& file, const std::string& sql);

// A job of kind "work" in queue "default".
NewJob work(std::string payload = "{}", std::string request_id = {});

// `n` jobs of kind "work" in queue "default", with these payloads; their ids.
std::vector<JobId> insert_jobs(Store& store, std::size_t n,
                               const std::string& payload = "{}");

}  // namespace carrel::test
