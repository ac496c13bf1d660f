// The checker: what must hold after any number of kills, stops and lost answers.
//
// Producers, handlers and hosts append what they saw to event logs of their own, one line
// a write, which nothing that is under test can change. The checker reads them beside the
// rows of the store at rest.
#pragma once

#include <carrel/store.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel::conformance {

// What was seen, by whom.
struct Event {
  enum class Kind : std::uint8_t {
    kAsk,       // a producer is about to enqueue (key = request id, hash of payload)
    kAck,       // its enqueue was answered (key, id)
    kStart,     // a handler began (id, fence, attempt, hash of payload)
    kEnd,       // a handler is about to answer (id, fence, hash of result)
    kClaim,     // a store granted a run (id, fence, attempt, lease end in `time`)
    kApplied,   // a store applied a finish (id, fence, key = verdict)
    kAlready,   // … had applied it before
    kStale,     // a store refused a finish (id, fence)
    kBeatStale  // a store refused a beat (id, fence)
  };
  Kind kind = Kind::kAsk;
  std::uint64_t id = 0;
  std::uint64_t fence = 0;
  std::uint32_t attempt = 0;
  std::uint64_t hash = 0;  // hash_of(bytes)
  std::int64_t time = 0;   // microseconds of CLOCK_BOOTTIME; filled in by append
  std::string key;         // no spaces; may be empty
};

std::uint64_t hash_of(std::string_view bytes) noexcept;  // FNV-1a

// Appends events to one file, a write(2) each, so that a kill -9 loses none that was
// written and many processes may share a file. Threads: safe.
class EventLog {
 public:
  static Result<EventLog> open(const std::filesystem::path& file);
  EventLog(EventLog&& other) noexcept;
  EventLog& operator=(EventLog&& other) noexcept;
  ~EventLog();
  void append(Event event) noexcept;

 private:
  explicit EventLog(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

// Every whole line, oldest first. kCorrupt names the file and line.
Result<std::vector<Event>> read_events(const std::filesystem::path& file);

struct CheckReport {
  std::size_t acknowledged = 0;  // enqueues
  std::size_t rows = 0;          // in the store
  std::size_t completed = 0;
  std::size_t discarded = 0;
  std::size_t cancelled = 0;
  std::size_t runs = 0;            // handlers begun
  std::size_t repeated = 0;        // jobs that ran more than once
  std::size_t stale_finishes = 0;  // refused, as they must be
  std::size_t stale_beats = 0;
  std::size_t already = 0;          // finishes that were asked again
  std::vector<std::string> broken;  // each names the rule and the job; empty: it holds
};
std::string to_string(const CheckReport& report);  // a few lines for people

// Reads all rows through `store`, which must be at rest (no worker alive), and holds them
// and the events against each other:
//   1 every acknowledged enqueue is a row that is final, or is still there
//   3 at most one accepted completion a job
//   4 fences of a job rise; the accepted result carries the fence current at its commit;
//     a request id enqueued once
//   5 two runs of a job overlap only if the first lease had ended
//   6 attempts ≤ max_attempts
//   7 no row is running
//   8 payload and result hashes agree from end to end
// The numbers are those of the project's reliability rules; what a store cannot tell (its
// own integrity, processes left) is the caller's.
Result<CheckReport> check(Store& store, std::span<const Event> events);

}  // namespace carrel::conformance
