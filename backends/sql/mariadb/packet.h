// How long a payload or result may be: the server sends and takes no value, nor
// statement, that is longer than its max_allowed_packet.
#pragma once

#include <algorithm>
#include <cstdint>

namespace carrel::sql::mariadb {

inline constexpr std::uint64_t kUsualPacket = 16U << 20;  // what servers come with

constexpr std::uint64_t longest_payload(std::uint64_t packet) {
  // Two digits a byte, and what goes with it in a statement.
  constexpr std::uint64_t kRest = 3U << 20;
  return std::clamp<std::uint64_t>(packet > kRest ? (packet - kRest) / 2 : 0, 64U << 10,
                                   64U << 20);
}

}  // namespace carrel::sql::mariadb
