#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "fixture.h"

namespace carrel::memory {
namespace {

using namespace std::chrono_literals;

Ticket ticket(std::uint64_t id, std::int16_t priority = 0, std::string kind = "work") {
  return {JobId{id}, "default", std::move(kind), priority};
}

std::vector<std::uint64_t> receive(Queue& queue, std::size_t max = 99, Duration wait = 0s,
                                   const std::vector<std::string>& kinds = kWork) {
  const auto deliveries = queue.receive({{}, kinds, max}, wait).value();
  std::vector<std::uint64_t> ids;
  for (const Queue::Delivery& d : deliveries) {
    ids.push_back(value(d.ticket.id));
  }
  return ids;
}

using Ids = std::vector<std::uint64_t>;

TEST(MemoryQueue, HoldsAnIdOnceUntilItIsReceived) {
  const auto queue = make_memory_queue();
  const Ticket twice[] = {ticket(1), ticket(2), ticket(1)};
  EXPECT_EQ(queue->publish(twice), 3U) << "a double is taken care of, not refused";
  EXPECT_EQ(queue->backlog({{}, kWork, 1}), 2U);
  EXPECT_EQ(receive(*queue), (Ids{1, 2}));
  EXPECT_EQ(queue->publish(twice), 3U) << "it may be wanted again";
  EXPECT_EQ(receive(*queue), (Ids{1, 2}));
}

TEST(MemoryQueue, TakesThePrefixThatItHasRoomFor) {
  const auto queue = make_memory_queue(2);
  const Ticket many[] = {ticket(1), ticket(1), ticket(2), ticket(3), ticket(4)};
  EXPECT_EQ(queue->publish(many), 3U);
  EXPECT_EQ(receive(*queue, 1), (Ids{1}));
  EXPECT_EQ(queue->publish({many + 3, 2}), 1U);
  EXPECT_EQ(receive(*queue), (Ids{2, 3}));
}

TEST(MemoryQueue, LowerPrioritiesFirstThenByArrivalAcrossKinds) {
  const auto queue = make_memory_queue();
  const Ticket some[] = {ticket(1, 5),       ticket(2, 0, "b"), ticket(3),
                         ticket(4, -1, "b"), ticket(5, 0, "b"), ticket(6, -7, "c")};
  queue->publish(some);
  EXPECT_EQ(receive(*queue, 4, 0s, {"work", "b"}), (Ids{4, 2, 3, 5}));
  EXPECT_EQ(receive(*queue, 9, 0s, {"work", "b"}), (Ids{1}));
  EXPECT_EQ(receive(*queue, 9, 0s, {"c"}), (Ids{6}));
}

TEST(MemoryQueue, AWaitEndsWithATicketThatIsWanted) {
  const auto queue = make_memory_queue();
  auto waiting = std::async(std::launch::async, [&] { return receive(*queue, 1, 1h); });
  const Ticket other = ticket(1, 0, "other");
  const Ticket right = ticket(2);
  queue->publish({&other, 1});
  queue->publish({&right, 1});
  EXPECT_EQ(waiting.get(), (Ids{2}));
}

TEST(MemoryQueue, AnInterruptEndsEveryWaitForEver) {
  const auto queue = make_memory_queue();
  auto one = std::async(std::launch::async, [&] { return receive(*queue, 1, 1h); });
  auto two = std::async(std::launch::async, [&] { return receive(*queue, 1, 1h); });
  queue->interrupt();
  EXPECT_TRUE(one.get().empty());
  EXPECT_TRUE(two.get().empty());
  EXPECT_TRUE(receive(*queue, 1, 1h).empty());
}

}  // namespace
}  // namespace carrel::memory
