// What the soak calls growth.
#include "growth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace carrel::fault {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(GrowthWatch, TellsWhatGrowsFromWhatSettles) {
  GrowthWatch watch;
  for (std::uintmax_t round = 0; round < 16; ++round) {
    watch.add("settles", round < 4 ? 10 * round : 100);
    watch.add("swings", 100 + round % 2);
    watch.add("one is high", round == 15 ? 1'000 : 100);
    watch.add("grows", 1'000 + 10 * round);
    watch.add("slowly", 1'000 + round);
  }
  EXPECT_THAT(watch.grown(5), ElementsAre(HasSubstr("grows grew from 1060 to 1140")));
}

TEST(GrowthWatch, FewRoundsSayNothing) {
  GrowthWatch watch;
  for (std::uintmax_t round = 0; round < 7; ++round) watch.add("doubles", 1U << round);
  EXPECT_THAT(watch.grown(5), IsEmpty());
  EXPECT_THAT(watch.to_string(), HasSubstr("too few"));
}

TEST(GrowthWatch, SeesThisProcess) {
  EXPECT_GT(resident_bytes(getpid()), 1U << 20);
  const std::uintmax_t before = open_descriptors(getpid());
  const int copy = dup(0);
  EXPECT_EQ(open_descriptors(getpid()), before + 1);
  close(copy);
}

}  // namespace
}  // namespace carrel::fault
