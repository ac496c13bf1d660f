// What every Isolation must do: carrel/isolation.h as Google Test cases,
// "<name>/Isolation.<…>".
//
// An isolation that runs handlers gets conformance_handlers(). One whose entry says
// needs_server forks its server early, so the test's main comes first:
//
//   int main(int argc, char** argv) {
//     testing::InitGoogleTest(&argc, argv);
//     carrel::prefork([](carrel::Handlers& h) { h = conformance_handlers(); }).value();
//     register_isolation_tests({"fork", entry});
//     return RUN_ALL_TESTS();
//   }
//
// One that runs programs gets lines for /bin/sh.
#pragma once

#include <carrel/context.h>
#include <carrel/registry.h>

#include <string>

namespace carrel::conformance {

struct IsolationHarness {
  std::string name;  // letters, digits, '_', '-'; unique in the program
  IsolationEntry entry;
};

// What the cases run, by kind. The kinds begin with "conformance.".
Handlers conformance_handlers();

// Before RUN_ALL_TESTS. The harness is copied; an isolation is made for each case.
void register_isolation_tests(IsolationHarness harness);

}  // namespace carrel::conformance
