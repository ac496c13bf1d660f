#include "row_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace carrel::memory {
namespace {

TEST(RowTable, FindsWhatIsThereAndNothingElse) {
  RowTable table;
  EXPECT_EQ(table.find(JobId{1}), nullptr);
  Row& one = table.add();
  Row& two = table.add();
  EXPECT_EQ(value(one.id), 1U);
  EXPECT_EQ(value(two.id), 2U);
  EXPECT_EQ(table.find(JobId{1}), &one);
  table.remove(one);
  EXPECT_EQ(table.find(JobId{1}), nullptr);
  EXPECT_EQ(table.find(JobId{2}), &two);
  EXPECT_EQ(table.find(JobId{}), nullptr);
  EXPECT_EQ(table.find(JobId{1025}), nullptr) << "the same slot as 1";
  EXPECT_EQ(table.size(), 1U);
}

TEST(RowTable, ARecycledRowIsAsNewUnderAnIdOfItsOwn) {
  RowTable table;
  Row& first = table.add();
  first.payload = std::string(100, 'p');
  first.result = "r";
  first.rule.worker = rules::WorkerId("w");
  first.more().log = "line\n";
  first.more().request_id = "request";
  first.more().checkpoint = "c";
  first.more().progress = Progress{0.5F, "half"};
  first.more().attempts.emplace_back();
  first.started = first.ended = Time{};
  first.named = 7;
  first.watched = true;
  table.remove(first);
  const Row& next = table.add();
  EXPECT_EQ(value(next.id), 2U);
  EXPECT_EQ(next.payload + next.result + next.rule.worker.text(), "");
  if (next.details) {
    EXPECT_EQ(next.details->log + next.details->request_id + next.details->checkpoint,
              "");
    EXPECT_FALSE(next.details->progress.has_value());
    EXPECT_TRUE(next.details->attempts.empty());
  }
  EXPECT_EQ(next.started, kNever);
  EXPECT_EQ(next.ended, kNever);
  EXPECT_EQ(next.named, 0U);
  EXPECT_FALSE(next.watched);
}

TEST(RowTable, AgreesWithAMapWhileItGrowsAndShrinks) {
  RowTable table;
  std::map<std::uint64_t, Row*> rows;
  std::mt19937 random(23);
  for (int i = 0; i < 60'000; ++i) {
    // Grows for a while, then shrinks: mostly the oldest go, with some that stay for
    // long.
    const bool grow = (i / 10'000) % 2 == 0 ? random() % 4 != 0 : random() % 4 == 0;
    if (grow || rows.empty()) {
      Row& row = table.add();
      rows.emplace(value(row.id), &row);
    } else {
      auto victim = rows.begin();
      if (random() % 8 == 0) {
        std::advance(victim, static_cast<std::ptrdiff_t>(
                                 random() % std::min<std::size_t>(rows.size(), 50)));
      }
      table.remove(*victim->second);
      rows.erase(victim);
    }
  }
  EXPECT_EQ(table.size(), rows.size());
  std::size_t seen = 0;
  table.for_each([&](const Row& row) {
    ++seen;
    EXPECT_EQ(rows.at(value(row.id)), &row);
  });
  EXPECT_EQ(seen, rows.size());
  for (std::uint64_t id = 0; id <= rows.rbegin()->first + 1; ++id) {
    const auto at = rows.find(id);
    ASSERT_EQ(table.find(JobId{id}), at == rows.end() ? nullptr : at->second) << id;
  }
}

}  // namespace
}  // namespace carrel::memory
