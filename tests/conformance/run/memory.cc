// The suites on the memory backend.
#include <carrel/conformance/pair.h>
#include <carrel/conformance/queue.h>
#include <carrel/conformance/store.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

int main(int argc, char** argv) {
  using namespace carrel;
  testing::InitGoogleTest(&argc, argv);
  const conformance::StoreHarness::Make store =
      [](const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
    return make_memory_store(options);
  };
  const conformance::QueueHarness::Make queue =
      [](const BackendOptions&) -> Result<std::unique_ptr<Queue>> {
    return make_memory_queue();
  };
  conformance::register_store_tests({.name = "memory", .create = store});
  conformance::register_queue_tests({.name = "memory", .create = queue});
  conformance::register_pair_tests(
      {.name = "memory-fused", .store = {.name = "memory", .create = store}});
  conformance::register_pair_tests({.name = "memory-x-memory",
                                    .store = {.name = "memory", .create = store},
                                    .queue = queue});
  return RUN_ALL_TESTS();
}
