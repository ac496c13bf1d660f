#include "session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "error.h"
#include "statement.h"
#include "statements.h"

namespace carrel::sql::sqlite {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot_open(const std::string& path, Code code, std::string why,
                                  int native) {
  return fail(code, path + ": cannot be opened: " + std::move(why), "sqlite", native);
}

// Why the system would not let it be opened; empty: it would.
std::string refusal_of_system(const std::string& path, int& native) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_CREAT, 0644);
  if (fd < 0) {
    native = errno;
    return std::strerror(native);
  }
  ::close(fd);
  return {};
}

}  // namespace

Result<void> check_place(const std::string& path) {
  std::error_code error;
  const fs::path file(path);
  fs::path folder = file.parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::exists(folder, error)) {
    return cannot_open(path, Code::kNotFound, "there is no directory " + folder.string(),
                       ENOENT);
  }
  if (!fs::is_directory(folder, error)) {
    return cannot_open(path, Code::kInvalid, folder.string() + " is not a directory",
                       ENOTDIR);
  }
  if (fs::is_directory(file, error)) {
    return cannot_open(path, Code::kInvalid, "it is a directory", EISDIR);
  }
  if (fs::exists(file, error) && !fs::is_regular_file(file, error)) {
    return cannot_open(path, Code::kInvalid, "it is no regular file", EINVAL);
  }
  return {};
}

Session::Session(const Settings& settings)
    : path_(settings.path), session_(soci::sqlite3, "dbname=\"" + path_ + "\"") {}

bool Session::in_transaction() {
  return sqlite_api::sqlite3_get_autocommit(native()) == 0;
}

long long Session::last_row() { return sqlite_api::sqlite3_last_insert_rowid(native()); }

Error Session::current_error() noexcept { return sqlite::current_error(path_); }

const Place::Frame& Session::frame() const noexcept {
  static const Frame kFrame{statements::kBegin, statements::kCommit,
                            statements::kRollback};
  return kFrame;
}

Result<std::unique_ptr<Session>> Session::open(const Settings& settings, Role role) {
  try {
    std::unique_ptr<Session> session(new Session(settings));
    session->set_up(settings, role);
    return session;
  } catch (...) {
    Error error = sqlite::current_error(settings.path);
    if ((error.native & 0xff) == SQLITE_CANTOPEN ||
        (error.native & 0xff) == SQLITE_READONLY) {
      int native = 0;
      std::string why = refusal_of_system(settings.path, native);
      if (!why.empty()) {
        return cannot_open(settings.path, code_of_errno(native), std::move(why), native);
      }
    }
    return tl::unexpected(std::move(error));
  }
}

void Session::execute(const char* sql) {
  const int result = sqlite_api::sqlite3_exec(native(), sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) {
    throw soci::sqlite3_soci_error(sqlite_api::sqlite3_errmsg(native()), result);
  }
}

void Session::keep_log() {
  sqlite_api::sqlite3_db_config(native(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

void Session::set_up(const Settings& settings, Role role) {
  sqlite_api::sqlite3_extended_result_codes(native(), 1);
  sqlite_api::sqlite3_busy_timeout(
      native(),
      static_cast<int>(
          std::chrono::ceil<std::chrono::milliseconds>(settings.busy_timeout).count()));
  if (role == Role::kReader) {
    execute("PRAGMA query_only = ON");
    return;
  }
  // Where the system lets it only be read, SQLite opens it so and says nothing.
  if (sqlite_api::sqlite3_db_readonly(native(), "main") == 1) {
    throw soci::sqlite3_soci_error("it may only be read", SQLITE_READONLY);
  }
  execute("PRAGMA mmap_size = 0");
  execute("PRAGMA journal_mode = WAL");
  std::string mode;
  Statement(session_, "PRAGMA journal_mode", soci::into(mode)).run();
  if (mode != "wal") {
    throw soci::sqlite3_soci_error("its place has no write-ahead log (a local disk has)",
                                   SQLITE_CANTOPEN);
  }
  execute(
      ("PRAGMA synchronous = " + std::string(to_string(settings.synchronous))).c_str());
  execute("PRAGMA journal_size_limit = 67108864");
  execute("PRAGMA cache_size = -16384");
  file_.emplace(path_);
}

}  // namespace carrel::sql::sqlite
