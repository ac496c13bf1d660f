#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <string>

namespace carrel {
namespace {

std::string error_of(const char* text, bool queue) {
  Registry registry;
  register_memory(registry);
  const Url url = Url::parse(text).value();
  if (queue) {
    const auto made = (*registry.queue("memory").value())(url, {});
    return made ? std::string() : made.error().message;
  }
  const auto made = (*registry.store("memory").value())(url, {});
  return made ? std::string() : made.error().message;
}

TEST(MemoryUrl, GoodOnesOpen) {
  EXPECT_EQ(error_of("memory:", false), "");
  EXPECT_EQ(error_of("memory:", true), "");
  EXPECT_EQ(error_of("memory:?capacity=10", true), "");
}

TEST(MemoryUrl, BadOnesNameWhatIsWrong) {
  const auto names = [](const std::string& message, const char* thing) {
    return message.find(thing) != std::string::npos;
  };
  EXPECT_TRUE(names(error_of("memory:jobs.db", false), "jobs.db"));
  EXPECT_TRUE(names(error_of("memory:?capacity=10", false), "capacity"));
  EXPECT_TRUE(names(error_of("memory:?size=10", true), "size"));
  for (const char* bad : {"memory:?capacity=0", "memory:?capacity=ten",
                          "memory:?capacity=5x", "memory:?capacity=-1"}) {
    EXPECT_TRUE(names(error_of(bad, true), "whole number")) << bad;
  }
}

TEST(MemoryUrl, AQueueHoldsNoMoreThanItsCapacity) {
  Registry registry;
  register_memory(registry);
  const Url url = Url::parse("memory:?capacity=1").value();
  const auto queue = (*registry.queue("memory").value())(url, {}).value();
  const Ticket two[] = {{JobId{1}, "default", "work", 0},
                        {JobId{2}, "default", "work", 0}};
  EXPECT_EQ(queue->publish(two), 1U);
}

}  // namespace
}  // namespace carrel
