#include "recycling_allocator.h"

#include <gtest/gtest.h>

#include <thread>

namespace carrel {
namespace {

struct Thing {
  int number = 7;
};

std::shared_ptr<Thing> make() {
  return std::allocate_shared<Thing>(RecyclingAllocator<Thing>());
}

TEST(RecyclingAllocator, AThreadUsesAgainWhatItFreed) {
  auto first = make();
  const Thing* const place = first.get();
  first.reset();
  EXPECT_EQ(make().get(), place);
}

TEST(RecyclingAllocator, WhatOneThreadMadeAnotherMayFree) {
  auto thing = make();
  std::thread([mine = std::move(thing)]() mutable { mine.reset(); }).join();
  EXPECT_EQ(make()->number, 7);
}

struct Noted {
  explicit Noted(bool& at) : gone(at) {}
  ~Noted() { gone = true; }
  bool& gone;
};

// The address sanitizer sees whether what is freed last goes where nothing is any more.
TEST(RecyclingAllocator, WhatAThreadFreesWhileItEndsIsNotKept) {
  bool gone = false;
  std::thread([&] {
    thread_local std::shared_ptr<Noted> held;  // made before the cache, and so ends after
    held.reset();
    held = std::allocate_shared<Noted>(RecyclingAllocator<Noted>(), gone);
  }).join();
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace carrel
