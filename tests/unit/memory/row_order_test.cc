#include "row_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace carrel::memory {
namespace {

class RowOrderTest : public testing::Test {
 protected:
  Row& row(int at) {
    Row& made = rows_.emplace_back();
    made.id = JobId{rows_.size()};
    made.run_at = Time(Duration(at));
    return made;
  }
  std::vector<std::uint64_t> walk() const {
    std::vector<std::uint64_t> ids;
    for (RowOrder<ByAge>::Cursor c(order_); c.get() != nullptr; c.step()) {
      ids.push_back(value(c.get()->id));
    }
    return ids;
  }
  std::deque<Row> rows_;
  RowOrder<ByAge> order_;
};

using Ids = std::vector<std::uint64_t>;

TEST_F(RowOrderTest, IsByTimeThenById) {
  EXPECT_TRUE(order_.empty());
  EXPECT_EQ(order_.front(), nullptr);
  for (const int at : {20, 30, 30, 10, 25}) order_.insert(row(at));
  EXPECT_EQ(walk(), (Ids{4, 1, 5, 2, 3}));
  EXPECT_EQ(order_.front(), &rows_[3]);
}

TEST_F(RowOrderTest, ErasesListedAndStrayRowsAndNoOthers) {
  for (const int at : {20, 30, 10, 25, 40}) order_.insert(row(at));
  order_.erase(rows_[2]);  // a stray
  order_.erase(rows_[1]);  // in the middle of the list
  order_.erase(rows_[1]);  // in no order any more
  EXPECT_EQ(walk(), (Ids{1, 4, 5}));
  order_.erase(rows_[0]);
  order_.erase(rows_[4]);
  EXPECT_EQ(walk(), (Ids{4}));
  order_.erase(rows_[3]);
  EXPECT_TRUE(order_.empty());
  order_.insert(rows_[1]);
  EXPECT_EQ(walk(), (Ids{2}));
}

TEST_F(RowOrderTest, ThePassedRowMayGoWhileACursorWalks) {
  for (const int at : {20, 30, 10, 25}) order_.insert(row(at));
  Ids ids;
  for (RowOrder<ByAge>::Cursor c(order_); Row* at = c.get();) {
    c.step();
    ids.push_back(value(at->id));
    order_.erase(*at);
  }
  EXPECT_EQ(ids, (Ids{3, 1, 4, 2}));
  EXPECT_TRUE(order_.empty());
}

TEST_F(RowOrderTest, AgreesWithASortUnderRandomWork) {
  std::mt19937 random(17);
  std::vector<Row*> in;
  for (int i = 0; i < 2'000; ++i) {
    if (in.empty() || random() % 3 != 0) {
      Row& made = row(static_cast<int>(i + random() % 50));
      order_.insert(made);
      in.push_back(&made);
    } else {
      const auto at = in.begin() + static_cast<std::ptrdiff_t>(random() % in.size());
      order_.erase(**at);
      in.erase(at);
    }
  }
  std::sort(in.begin(), in.end(),
            [](const Row* a, const Row* b) { return earlier<ByAge>(*a, *b); });
  Ids expected;
  for (const Row* r : in) expected.push_back(value(r->id));
  EXPECT_EQ(walk(), expected);
}

}  // namespace
}  // namespace carrel::memory
