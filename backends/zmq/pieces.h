// Cuts rows, and waits, into requests that the broker takes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>

#include "fields.h"

namespace carrel::zmq {

// A longer wait is asked for again and again: the broker forgets those that are gone.
inline constexpr Duration kSlice = std::chrono::seconds(30);

// What one request holds.
struct Room {
  std::size_t bytes = 0;  // of rows
  std::size_t rows = 0;
  std::size_t payload = 0;  // of a payload, result or checkpoint
};

inline std::size_t payload_of(const NewJob& job) { return job.payload.size(); }
inline std::size_t payload_of(const Ticket& /*ticket*/) { return 0; }
inline std::size_t payload_of(const Beat& beat) {
  return beat.checkpoint ? beat.checkpoint->size() : 0;
}
inline std::size_t payload_of(const Finish& run) {
  return std::max(run.result.size(), run.checkpoint ? run.checkpoint->size() : 0);
}

// Calls send(rows.subspan(…)) for one piece after the other, as many rows as there is
// room for. A row for which there is none is handed to too_large(row) in its turn.
template <class T, class Send, class TooLarge>
void in_pieces(std::span<const T> rows, const Room& room, Send send, TooLarge too_large) {
  std::size_t begin = 0;
  std::size_t used = 0;
  const auto flush = [&](std::size_t end) {
    if (end > begin) send(rows.subspan(begin, end - begin));
    begin = end;
    used = 0;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t size = encoded_size(rows[i]);
    if (used + size > room.bytes || i - begin >= room.rows) flush(i);
    used += size;
    if (size > room.bytes || payload_of(rows[i]) > room.payload) {
      flush(i);
      too_large(rows[i]);
      begin = i + 1;
      used = 0;
    }
  }
  flush(rows.size());
}

// The same of ids alone.
template <class Send>
void id_pieces(std::span<const JobId> ids, const Room& room, Send send) {
  const std::size_t most =
      std::max<std::size_t>(1, std::min(room.rows, room.bytes / sizeof(JobId)));
  for (; !ids.empty(); ids = ids.subspan(std::min(most, ids.size()))) {
    send(ids.first(std::min(most, ids.size())));
  }
}

}  // namespace carrel::zmq
