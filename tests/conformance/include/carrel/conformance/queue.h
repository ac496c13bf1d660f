// What every Queue must do: carrel/queue.h as Google Test cases, "<name>/Queue.<…>".
//
// Only what a queue promises is asked for: a ticket may come late, twice or not at all,
// so the cases publish again until they see what they wait for, and none asserts that a
// ticket is there at once, but for queues that reach no further than their process.
#pragma once

#include <carrel/queue.h>
#include <carrel/store.h>

#include <functional>
#include <memory>
#include <string>

namespace carrel::conformance {

struct QueueHarness {
  using Make = std::function<Result<std::unique_ptr<Queue>>(const BackendOptions&)>;

  std::string name;  // letters, digits, '_', '-'; unique in the program
  Make create;       // fresh and empty
};

// Before RUN_ALL_TESTS. The harness is copied.
void register_queue_tests(QueueHarness harness);

}  // namespace carrel::conformance
