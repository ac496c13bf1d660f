// Event logs: what producers, handlers and hosts saw, written where nothing that is under
// test can change it, and in such a way that a kill -9 loses nothing that was written.
#pragma once

#include <carrel/conformance/store_wrapper.h>
#include <carrel/result.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel::conformance {

struct Event {
  enum class Kind : std::uint8_t {
    kAsk,     // a producer is about to enqueue: key = request id, hash of the payload; or
              // a run, once, without one: id, fence of the run, and a key for this log
    kUnique,  // … under a unique key: key, hash of that key, until = its period in
              // microseconds, attempt = its states, a bit each
    kAck,     // its enqueue was answered: key, id
    kStart,   // a handler began: id, fence, attempt, hash of the payload
    kEnd,     // a handler is about to answer: id, fence, hash of its result
    kClaim,   // a store granted a run: id, fence, attempt; it holds at least till `until`
    kRenew,   // … and renewed its lease: id, fence, until
    kApplied,    // a store applied a finish: id, fence, key = the state that came of it
    kAlready,    // … had applied it before
    kStale,      // a store refused a finish: id, fence
    kBeatStale,  // a store refused a beat: id, fence
  };
  Kind kind = Kind::kAsk;
  std::uint64_t id = 0;
  std::uint64_t fence = 0;
  std::uint32_t attempt = 0;
  std::uint64_t hash = 0;  // hash_of(bytes)
  std::int64_t until = 0;  // as `time`, but in kUnique
  std::int64_t time = 0;   // microseconds of CLOCK_BOOTTIME; append fills it in
  std::string key;         // 1–128 bytes without white space, or empty
};

std::string_view to_string(Event::Kind kind) noexcept;
std::uint64_t hash_of(std::string_view bytes) noexcept;  // FNV-1a
std::int64_t boot_time_us() noexcept;

// Appends to one file, a write(2) an event, so that many processes may share it.
// Threads: safe.
class EventLog {
 public:
  static Result<EventLog> open(const std::filesystem::path& file);
  EventLog(EventLog&& other) noexcept;
  EventLog& operator=(EventLog&& other) noexcept;
  ~EventLog();
  // Aborts the process where the line cannot be written: a log with holes proves nothing.
  void append(const Event& event) noexcept;

 private:
  explicit EventLog(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

// Every event of the file, in the order written. kCorrupt names the file and the line.
Result<std::vector<Event>> read_events(const std::filesystem::path& file);

// A store that logs what the real one answers about runs; so does its claim_source.
class RecordingStore final : public StoreWrapper {
 public:
  RecordingStore(std::unique_ptr<Store> real, std::shared_ptr<EventLog> log);

  std::unique_ptr<ClaimSource> claim_source() override;
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override;
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override;
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override;

 private:
  std::shared_ptr<EventLog> log_;
};

}  // namespace carrel::conformance
