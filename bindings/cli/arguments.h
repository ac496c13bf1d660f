// What the command line said, one struct a command. CLI11 stays in arguments.cc.
#pragma once

#include <carrel/engine.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace carrel::cli {

// Exit codes, as --help lists them.
enum Exit : int {
  kOk = 0,
  kJobFailed = 1,
  kUsage = 2,  // also the configuration
  kNotFound = 3,
  kStoreAway = 4,  // or it cannot be used
  kTimedOut = 5,
  kInterrupted = 6,  // before all was done
};

// Before or after the command.
struct Global {
  std::string config;  // empty: $CARREL_CONFIG, or ./carrel.toml
  std::string store;   // empty: the configuration's
  bool json = false;
};

struct RunArgs {
  bool drain = false;
  std::optional<std::size_t> concurrency;
  std::vector<std::string> queues;
};

struct EnqueueArgs {
  std::string kind;
  std::string args;    // JSON, or "-": from standard input
  bool lines = false;  // one job for each line of JSON on standard input
  EnqueueOptions options;
  bool wait = false;
  Duration wait_at_most = std::chrono::hours(24 * 365);
};

struct ListArgs {
  Filter filter;
  JobId before{};
  std::size_t limit = 50;
};

struct ExportArgs {
  Filter filter;
  JobId before{};
};

struct ShowArgs {
  JobId id{};
  bool result = false;  // only that
};

struct ChosenJobs {
  std::vector<JobId> ids;  // empty: all that the filter matches
  Filter filter;
  bool dry_run = false;
  bool yes = false;
};
struct RetryArgs : ChosenJobs {};
struct CancelArgs : ChosenJobs {};

struct PauseArgs {
  std::vector<std::string> queues;
};
struct ResumeArgs {
  std::vector<std::string> queues;
};

struct StatusArgs {};

struct CompareArgs {
  std::string kind;  // a program of the configuration; empty: the synthetic job
  std::string args;  // JSON
  std::vector<std::string> isolations;
  std::vector<std::string> stores;
  std::vector<std::size_t> concurrency;
  std::size_t jobs = 200;
  Duration work = std::chrono::milliseconds(1);  // of the synthetic job, in CPU time
};

// The synthetic job as a program, for `compare`; not in --help.
struct SpinArgs {
  Duration work{0};
};

struct SandboxArgs {
  std::string profile = "standard";
  std::vector<std::string> command;
  std::string args;  // JSON, or "-": from standard input
  Duration timeout = std::chrono::minutes(1);
};

struct MigrateArgs {
  bool dry_run = false;
  bool sql = false;  // only print it
};

struct ReindexArgs {};

struct DoctorArgs {};

struct BrokerArgs {};

struct KeysArgs {
  std::string name;
  std::string role;
};

struct Arguments {
  Global global;
  std::variant<std::monostate, RunArgs, EnqueueArgs, ListArgs, ExportArgs, ShowArgs,
               RetryArgs, CancelArgs, PauseArgs, ResumeArgs, StatusArgs, CompareArgs,
               SpinArgs, SandboxArgs, MigrateArgs, ReindexArgs, DoctorArgs, BrokerArgs,
               KeysArgs>
      command;
};

// Reads the command line. An exit code where there is nothing more to do: --help was
// printed, or one line on standard error says what was wrong.
std::variant<Arguments, int> parse(int argc, char** argv);

}  // namespace carrel::cli
