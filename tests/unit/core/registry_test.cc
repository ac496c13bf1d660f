#include <carrel/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace carrel {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

StoreFactory a_store() {
  return [](const Url&, const BackendOptions&) -> Result<std::unique_ptr<Store>> {
    return nullptr;
  };
}
QueueFactory a_queue() {
  return [](const Url&, const BackendOptions&) -> Result<std::unique_ptr<Queue>> {
    return nullptr;
  };
}

TEST(Registry, AnswersWithWhatWasAdded) {
  Registry registry;
  registry.add_store("b", a_store());
  registry.add_store("a", a_store());
  registry.add_queue("q", a_queue());
  IsolationEntry entry;
  entry.needs_server = true;
  registry.add_isolation("cell", entry);
  EXPECT_THAT(registry.store_schemes(), ElementsAre("a", "b"));
  EXPECT_TRUE(registry.store("a"));
  EXPECT_TRUE(registry.queue("q"));
  const auto cell = registry.isolation("cell");
  ASSERT_TRUE(cell);
  EXPECT_TRUE((*cell)->needs_server);
}

TEST(Registry, AnUnknownSchemeNamesTheKnown) {
  Registry registry;
  registry.add_store("memory", a_store());
  const auto store = registry.store("sqlit");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kUnsupported);
  EXPECT_THAT(store.error().message,
              AllOf(HasSubstr("\"sqlit\""), HasSubstr("memory"), HasSubstr("postgresql"),
                    HasSubstr("did you mean \"sqlite\"?")));
  EXPECT_FALSE(registry.queue("sqlit"));
}

TEST(Registry, AStoreThatIsItsOwnQueueSaysHowToUseIt) {
  Registry registry;
  registry.add_store("sqlite", a_store());
  const auto queue = registry.queue("sqlite");
  ASSERT_FALSE(queue);
  EXPECT_EQ(queue.error().code, Code::kUnsupported);
  EXPECT_THAT(queue.error().message,
              AllOf(HasSubstr("part of the store"), HasSubstr("Leave `queue` out"),
                    HasSubstr("same URL")));
}

TEST(Registry, AnUnknownIsolationNamesTheKnown) {
  Registry registry;
  registry.add_isolation("thread", {});
  registry.add_isolation("fork", {});
  const auto entry = registry.isolation("forc");
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().code, Code::kUnsupported);
  EXPECT_THAT(entry.error().message,
              AllOf(HasSubstr("fork, thread"), HasSubstr("did you mean \"fork\"?")));
}

}  // namespace
}  // namespace carrel
