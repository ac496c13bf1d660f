// The databases under test, each as its own user sees it: what the fault tests do to any
// of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace carrel {
class Clock;
}

namespace carrel::fault {

// Threads: one at a time. Its server and its files are gone with it.
class Database {
 public:
  virtual ~Database() = default;
  virtual std::string url() const = 0;
  // Its server's, and the URL by which it is reached through another; a file has none.
  virtual std::uint16_t port() const { return 0; }
  virtual std::string url(std::uint16_t /*port*/) const { return url(); }
  // Ends it at once by this signal, and starts it again. A file has none to restart.
  virtual void restart(const char* /*signal*/) {}
  // Where a clock of its own was asked for: how far it is off from now on. It is its
  // server's. A file has no clock: processes that are started by what by_clock() makes of
  // their commands go by this one, and stores of this process that are given clock(),
  // which is borrowed.
  virtual void set_clock(std::chrono::seconds to) = 0;
  virtual std::vector<std::string> by_clock(std::vector<std::string> command) const {
    return command;
  }
  virtual const Clock* clock() const { return nullptr; }
  // What is wrong with its files and its rows, of which only final ones should be left,
  // and what locks somebody holds, though all who have it open should rest; empty:
  // nothing. Blocks: for a second where something is held.
  virtual std::vector<std::string> unsound() = 0;
  // Files that may not grow for ever, where as much is written as goes.
  struct Growth {
    std::string name;
    std::uintmax_t bytes;
  };
  virtual std::vector<Growth> growth() = 0;
};

struct DatabaseOptions {
  std::filesystem::path folder;  // for its file
  // Where a server makes the folder of its own.
  std::filesystem::path within = std::filesystem::temp_directory_path();
  bool own_clock = false;
};

struct DatabaseKind {
  const char* name;
  std::string (*missing)();  // what is not installed; empty: nothing
  bool has_server;
  std::uintmax_t small_disk;  // bytes of a disk that it is at home on, and fills soon
  std::unique_ptr<Database> (*start)(const DatabaseOptions& options);
};
void PrintTo(const DatabaseKind* kind, std::ostream* out);

extern const DatabaseKind kSqlite;
extern const DatabaseKind kPostgresql;
extern const DatabaseKind kMariadb;

}  // namespace carrel::fault
