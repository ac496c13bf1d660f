// What every queue × store must do together: jobs complete exactly once, whatever becomes
// of the tickets. Google Test cases, "<name>/Pair.<…>", over an exact little engine loop
// (receive, claim, settle, finish; peek when low; sweep) without the engine.
#pragma once

#include <carrel/conformance/queue.h>
#include <carrel/conformance/store.h>

#include <string>

namespace carrel::conformance {

struct PairHarness {
  std::string name;               // letters, digits, '_', '-'; unique in the program
  StoreHarness store;             // its name is not used
  QueueHarness::Make queue = {};  // null: the store is its own queue (claim_source)
};

// Before RUN_ALL_TESTS. The harness is copied.
void register_pair_tests(PairHarness harness);

}  // namespace carrel::conformance
