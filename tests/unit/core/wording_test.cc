#include "wording.h"

#include <gtest/gtest.h>

#include <vector>

namespace carrel {
namespace {

const std::vector<std::string> kNames = {"worker.lease", "worker.beat", "queue", "store"};

TEST(Wording, FindsTheNearestName) {
  EXPECT_EQ(nearest("worker.leese", kNames), "worker.lease");
  EXPECT_EQ(nearest("qeuue", kNames), "queue");
  EXPECT_EQ(nearest("STORE", kNames), "store");
  EXPECT_EQ(nearest("stor", kNames), "store");
}

TEST(Wording, GuessesNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest("completely different", kNames), std::nullopt);
  EXPECT_EQ(nearest("abc", kNames), std::nullopt);
  EXPECT_EQ(nearest("queue", {}), std::nullopt);
  EXPECT_EQ(did_you_mean("xyz", kNames), "");
  EXPECT_EQ(did_you_mean("queu", kNames), "; did you mean \"queue\"?");
}

TEST(Wording, JoinsNames) {
  EXPECT_EQ(joined(kNames), "worker.lease, worker.beat, queue, store");
  EXPECT_EQ(joined({}), "none");
}

}  // namespace
}  // namespace carrel
