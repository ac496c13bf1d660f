// How often the dispatcher looks for what is due where others hold it.
#include "dispatcher.h"

#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace carrel {
namespace {

using namespace std::chrono_literals;

// What a sweep answers is the test's.
class Scripted final : public conformance::StoreWrapper {
 public:
  Scripted() : StoreWrapper(make_memory_store(BackendOptions{})) {}
  Result<Swept> sweep(std::size_t) override { return answer; }
  Swept answer;
};

class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() { store_.answer.next = 0us; }
  // Its pauses while what is due is held.
  std::vector<Duration> look(int times) {
    std::vector<Duration> pauses;
    for (int i = 0; i < times; ++i) {
      EXPECT_EQ(dispatcher_.sweep_all(), 0U);
      pauses.push_back(dispatcher_.pause());
    }
    return pauses;
  }
  void expect_short(Duration pause) {
    EXPECT_GE(pause, 5ms);
    EXPECT_LE(pause, 15ms);
  }

  Scripted store_;
  const LogFn log_ = [](LogLevel, std::string_view) {};
  StoreStatus status_{log_, std::chrono::hours(1)};
  Dispatcher dispatcher_{store_, nullptr, 10s, status_, log_};
};

TEST_F(DispatcherTest, WhatIsHeldForLongIsLookedForSeldomer) {
  const auto pauses = look(20);
  expect_short(pauses.front());
  for (std::size_t i = 5; i < pauses.size(); ++i) {
    EXPECT_GE(pauses[i], 66ms) << i;
    EXPECT_LE(pauses[i], 200ms) << i;
  }
}

TEST_F(DispatcherTest, WhenSomethingMovesOrIsNewItLooksSoonAgain) {
  look(20);
  store_.answer.discarded = 1;
  ASSERT_TRUE(dispatcher_.sweep_all());
  EXPECT_EQ(dispatcher_.pause(), 0us);
  store_.answer.discarded = 0;
  expect_short(look(1).front());
  look(20);
  store_.answer.next = 1s;  // nothing is due any more
  ASSERT_TRUE(dispatcher_.sweep_all());
  EXPECT_EQ(dispatcher_.pause(), 1s);
  store_.answer.next = 0us;
  expect_short(look(1).front());
  look(20);
  dispatcher_.due_in(0us);
  expect_short(look(1).front());
  look(20);
  dispatcher_.due_in(1s);  // it is woken for that
  EXPECT_GE(look(1).front(), 66ms);
}

}  // namespace
}  // namespace carrel
