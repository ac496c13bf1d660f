// A frame: a head of 24 bytes, and a body. PROTOCOL.md is the page for those who write
// another client.
#pragma once

#include <carrel/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::zmq {

inline constexpr std::uint8_t kVersion = 4;
inline constexpr std::size_t kVersionAt = 3;  // in every version
inline constexpr std::size_t kHeadBytes = 24;

// Requests are below 128; the answer to one has the same number with the high bit set.
enum class Type : std::uint8_t {
  kHello = 1,
  kHeartbeat = 2,
  kBye = 3,      // no answer
  kAbandon = 4,  // no answer of its own
  kEnqueue = 10,
  kTake = 11,
  kClaim = 12,
  kBeat = 13,
  kFinish = 14,
  kCancel = 15,
  kRetry = 16,
  kPeek = 17,
  kSweep = 18,
  kPause = 19,
  kAwait = 20,
  kJob = 21,
  kList = 22,
  kCounts = 23,
  kPaused = 24,
  kPublish = 30,
  kReceive = 31,
  // Answers to any request.
  kBusy = 253,
  kRefused = 254,
  kError = 255,
};
constexpr Type answer_to(Type request) {
  return static_cast<Type>(static_cast<std::uint8_t>(request) | 0x80U);
}

// The broker may keep it until there is something to answer.
constexpr bool waits(Type type) noexcept {
  return type == Type::kTake || type == Type::kAwait || type == Type::kReceive;
}

struct Head {
  std::uint8_t version = kVersion;
  Type type = Type::kError;
  std::uint64_t id = 0;        // the sender's for a request; that of the request else
  std::uint64_t received = 0;  // answers of this session that the client has read
};

// Nothing: not a frame of any version of this protocol. A frame of another version is
// one; its body cannot be read.
std::optional<Head> head_of(std::string_view frame) noexcept;
inline std::string_view body_of(std::string_view frame) noexcept {
  return frame.substr(kHeadBytes);
}

// A frame with room for its body; id and received are written by stamp().
std::string begin_frame(Type type);
void stamp(std::string& frame, std::uint64_t id, std::uint64_t received) noexcept;

}  // namespace carrel::zmq
