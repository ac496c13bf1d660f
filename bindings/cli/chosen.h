// Jobs that filters choose, for a command that changes all of them: it asks first, and
// ends between two batches, so that it can say how far it came.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "arguments.h"

namespace carrel::cli {

// What is done to them, in words: "retry", "retried".
struct Verb {
  const char* plain;
  const char* done;
};

struct Change {
  // A batch of them. Counts in `done` those that were changed; an error: the store is
  // away, and the rest is not tried.
  std::function<std::optional<Error>(std::span<const JobId> batch, std::size_t& done)>
      batch;
  // Prints one of them that would be changed, for --dry-run.
  std::function<void(JobId)> would;
};

// The exit code. `of`: how many were chosen, of which `done` were changed.
struct Changed {
  int code = 0;
  std::size_t of = 0;
  std::size_t done = 0;
};

// Not the places of holds: these are no jobs that anybody enqueued. Without --yes it asks
// at a terminal; elsewhere nobody is there to answer, and it is kUsage.
Changed change_chosen(Engine& engine, const ChosenJobs& chosen, const Verb& verb,
                      const Change& change);

}  // namespace carrel::cli
