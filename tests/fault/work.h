// What the worker and the producer of the kill test agree on.
#pragma once

#include <carrel/conformance/events.h>
#include <carrel/conformance/faults.h>
#include <carrel/engine.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace carrel::fault {

namespace conformance = carrel::conformance;

// Where everything of one test is.
struct Place {
  std::filesystem::path folder;
  // The URL of the store under test, which the driver has left there.
  std::string store() const;
  // Of the same database for a host's own sessions; empty: none are to be opened.
  std::string host() const;
  std::filesystem::path log(const char* who) const {
    return folder / (std::string(who) + ".events");
  }
};

// Who writes logs there, and all that they have written.
inline constexpr const char* kLogs[] = {"producer", "handler", "store"};
std::vector<conformance::Event> events_of(const Place& place);

inline constexpr const char* kKind = "work";

// Of the jobs by their number, those that a host's transaction enqueues, some with unique
// keys or limits among them, and those that one completes; where there are such sessions.
// Few: on PostgreSQL each such transaction prepares its statements anew.
inline bool is_enqueued_by_host(std::size_t n) {
  return n / 64 % 3 == 0 && (n % 10 == 4 || n % 20 == 9 || n % 40 == 12);
}
inline bool is_completed_by_host(std::size_t n) { return n % 32 == 4; }

// The number of the job that a run brings, of which neither is true.
inline std::size_t number_brought(std::uint64_t id, std::uint64_t fence) {
  return 64 * 3 * (id * 10'000 + fence) + 64 + 1;
}

// Opens a store by its URL, as it is.
Result<std::unique_ptr<Store>> open_store(const std::string& url,
                                          const BackendOptions& options = {});

// The built-ins and the SQL stores.
Registry sql_registry();

// The same, but stores of `place`'s scheme are its store, under `plan`'s faults, with
// what it answers written to `log`.
Registry registry_with(const Place& place,
                       const std::shared_ptr<conformance::FaultPlan>& plan,
                       const std::shared_ptr<conformance::EventLog>& log);

// "after_claim_commit kill 3": arms `plan`; false: not understood.
bool arm(conformance::FaultPlan& plan, const std::string& command);

// A child of the driver must not outlive it.
void die_with_parent();

// Ends the program with status 1 and a message, where there is no value.
template <class T>
T or_die(Result<T> result, const char* what);
[[noreturn]] void die(const std::string& message);

template <class T>
T or_die(Result<T> result, const char* what) {
  if (!result) die(std::string(what) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace carrel::fault
