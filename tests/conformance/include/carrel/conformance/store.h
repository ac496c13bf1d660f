// What every Store must do: carrel/store.h and carrel/rules.h as Google Test cases.
//
//   int main(int argc, char** argv) {
//     testing::InitGoogleTest(&argc, argv);
//     carrel::conformance::register_store_tests({.name = "mine", .create = …});
//     return RUN_ALL_TESTS();
//   }
//
// The cases are named "<name>/Store.<Topic>_<WhatHolds>"; those that stand for an
// invariant of the architecture carry its number:
// "Invariant3_AWriteAfterTheLeaseIsStale". A case that does not apply is skipped, and
// says which trait excuses it.
#pragma once

#include <carrel/store.h>

#include <functional>
#include <memory>
#include <string>

namespace carrel::conformance {

struct StoreHarness {
  using Make = std::function<Result<std::unique_ptr<Store>>(const BackendOptions&)>;

  std::string name;  // letters, digits, '_', '-'; unique in the program
  // Fresh and empty. The options' clock, retention and poll must be taken over. Whatever
  // it leaves on disk is the harness's to remove.
  Make create;
  // The data of the last create. Called after that store was destroyed; where its reach
  // is beyond the process also beside it, as another process would. Null where the rows
  // go with the store.
  Make reopen = {};
  // Moves the store's clock on, where it is not BackendOptions::clock but a server's.
  std::function<void(Duration)> advance = {};
  // Makes the next job of the open store get `next` or a higher id, to see ids past 32
  // bits. Null where that cannot be done from outside.
  std::function<Result<void>(JobId next)> skip_ids = {};
};

// Before RUN_ALL_TESTS. The harness is copied; its functions are called once a case, from
// the thread that runs it.
void register_store_tests(StoreHarness harness);

}  // namespace carrel::conformance
