// What the broker remembers of calls, so that one is carried out once, however often its
// client asks: it asks again when the connection was lost before the answer.
//
// A call is named by its client's own name, and by its id, which no other call of that
// client has. It is known from its beginning on. Its answer is forgotten as soon as the
// client says that it has read it; for want of that, kAge after it was given, and the
// oldest go before that where all together take more than `max_bytes`. What is forgotten
// is carried out again if it is asked again, as it is by a broker that was started since.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "call.h"

namespace carrel::zmq {

// Threads: one. Nothing blocks.
class Repeats {
 public:
  // No client asks for longer: that is the longest `timeout` of its URL.
  static constexpr auto kAge = std::chrono::minutes(1);
  // Of one answer, in memory, beside its frame.
  static constexpr std::size_t kOverhead = 256;

  explicit Repeats(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  Repeats(const Repeats&) = delete;
  Repeats& operator=(const Repeats&) = delete;

  struct Known {
    CallPtr under_way;   // null: it is answered
    std::string answer;  // a frame without id
  };
  // nullptr: it is to be carried out. Good until the next call of another function.
  const Known* find(const std::string& client, std::uint64_t id) const;

  // A call of a session; it is not known yet.
  void begin(const CallPtr& call);
  // Its answer; nothing, where it has not begun.
  void answered(const Call& call, std::string_view answer, Clock::time_point now);
  // The client has read the answer to this, whatever it was.
  void read(const std::string& client, std::uint64_t id);
  void forget_old(Clock::time_point now);

  std::size_t bytes() const noexcept { return bytes_; }  // of answers

 private:
  struct Entry : Known {
    std::string client;
    std::uint64_t id = 0;
    Clock::time_point since{};  // its answer
  };
  using Entries = std::list<Entry>;
  using Name = std::pair<std::string_view, std::uint64_t>;  // of what the entry holds

  static std::size_t bytes_of(const Entry& entry) noexcept {
    return entry.answer.size() + kOverhead;
  }
  void forget_oldest();

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  Entries under_way_;
  Entries answered_;  // the oldest first
  std::map<Name, Entries::iterator> by_name_;
};

}  // namespace carrel::zmq
