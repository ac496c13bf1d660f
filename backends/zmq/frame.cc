#include "frame.h"

#include <cstring>

namespace carrel::zmq {
namespace {

constexpr std::string_view kMagic = "CRL";
constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kZerosAt = 5;
constexpr std::size_t kIdAt = 8;
constexpr std::size_t kReceivedAt = 16;

}  // namespace

std::optional<Head> head_of(std::string_view frame) noexcept {
  if (frame.size() < kHeadBytes || !frame.starts_with(kMagic)) return std::nullopt;
  Head head;
  head.version = static_cast<std::uint8_t>(frame[kVersionAt]);
  head.type = static_cast<Type>(frame[kTypeAt]);
  std::memcpy(&head.id, frame.data() + kIdAt, sizeof head.id);
  std::memcpy(&head.received, frame.data() + kReceivedAt, sizeof head.received);
  if (head.version != kVersion) return head;
  for (std::size_t i = kZerosAt; i < kIdAt; ++i) {
    if (frame[i] != 0) return std::nullopt;
  }
  return head;
}

std::string begin_frame(Type type) {
  std::string frame(kHeadBytes, '\0');
  frame.replace(0, kMagic.size(), kMagic);
  frame[kVersionAt] = static_cast<char>(kVersion);
  frame[kTypeAt] = static_cast<char>(type);
  return frame;
}

void stamp(std::string& frame, std::uint64_t id, std::uint64_t received) noexcept {
  std::memcpy(frame.data() + kIdAt, &id, sizeof id);
  std::memcpy(frame.data() + kReceivedAt, &received, sizeof received);
}

}  // namespace carrel::zmq
