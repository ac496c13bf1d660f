// The suites on the built-in isolations.
#include <carrel/conformance/isolation.h>
#include <carrel/exec.h>
#include <carrel/fork.h>
#include <carrel/process.h>
#include <carrel/thread.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  using namespace carrel;
  testing::InitGoogleTest(&argc, argv);
  // Before any thread is there.
  const auto server =
      prefork([](Handlers& h) { h = conformance::conformance_handlers(); });
  if (!server) {
    std::fprintf(stderr, "prefork: %s\n", server.error().message.c_str());
    return 1;
  }
  Registry registry;
  register_thread(registry);
  register_fork(registry);
  register_exec(registry);
  for (const std::string& name : registry.isolation_names()) {
    conformance::register_isolation_tests({name, **registry.isolation(name)});
  }
  return RUN_ALL_TESTS();
}
