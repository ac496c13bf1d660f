// Every interleaving of one job, two workers and their messages, over the real rules.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <ostream>

#include "rule_set.h"
#include "search.h"
#include "world.h"

namespace carrel::model {

static void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

namespace {

void expect_sound(const char* what, const World& first) {
  const Report report = search(first, RuleSet{});
  std::printf("%s: %s\n", what, report.to_string().c_str());
  EXPECT_TRUE(report.broken.empty()) << report.to_string();
  // A search that saw next to nothing has proved nothing.
  EXPECT_GT(report.states, 10'000U);
}

constexpr Duration kNone{0};

TEST(Model, NothingBreaksWithAFaultADetourAndACancel) {
  expect_sound("a fault, a detour, a cancel", first_world({1, 1, 1}, kNone, kNone));
}

TEST(Model, NothingBreaksWithTwoFaultsAndACancel) {
  expect_sound("two faults, a cancel", first_world({2, 0, 1}, kNone, kNone));
}

TEST(Model, NothingBreaksWithADelayAndAnExpiry) {
  expect_sound("delayed, to start within a tick", first_world({1, 1, 1}, kTick, kTick));
}

// A watchman who has never caught anybody may be asleep.
class KnownBad : public testing::TestWithParam<Mistake> {};

TEST_P(KnownBad, IsFound) {
  const Mistake& mistake = GetParam();
  const Report report =
      search(first_world({1, 1, 1}, kNone, kNone), mistake.rules, mistake.breaks);
  const auto found = report.broken.find(mistake.breaks);
  ASSERT_NE(found, report.broken.end())
      << "\"" << mistake.name << "\" did not break " << mistake.breaks << "\n"
      << report.to_string();
  std::printf("%s breaks %s after %zu steps (%zu states)\n", mistake.name.c_str(),
              mistake.breaks, found->second.size(), report.states);
}

INSTANTIATE_TEST_SUITE_P(Model, KnownBad, testing::ValuesIn(mistakes()),
                         [](const testing::TestParamInfo<Mistake>& mistake) {
                           std::string name = mistake.param.name;
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace carrel::model
