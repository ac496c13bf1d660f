// How a conversion stands, in the words of whoever sent the file.
#pragma once

#include <carrel/job.h>

#include <cstdint>
#include <string>

namespace convert_web {

// How a conversion stands.
struct Standing {
  std::string state = "waiting";  // "waiting" "running" "done" "failed" "cancelled"
  double fraction = 0;
  std::string message;        // what it does, or a sentence on how it ended
  carrel::Json result;        // of "done": what run_conversion answered
  std::uint64_t version = 0;  // rises with every change

  bool is_final() const { return state != "waiting" && state != "running"; }
};

// Stopped by its owner or by the operator: the store does not say.
Standing stopped();
// What an attempt left: the end, or that it is tried again. `timeout_s`: what one may
// take. What the engine says of itself is for the operator, and not here.
Standing ended(const carrel::Outcome& outcome, carrel::State state,
               std::int64_t timeout_s);
// From the store's record.
Standing standing_of(const carrel::JobRecord& record, std::int64_t timeout_s);

}  // namespace convert_web
