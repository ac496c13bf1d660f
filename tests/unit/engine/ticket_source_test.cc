#include "ticket_source.h"

#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace carrel {
namespace {

using namespace std::chrono_literals;

// Where a broker's tickets outlive the store that they are of, or two stores share one, a
// number is that of another job.
TEST(TicketSourceTest, AJobOfAnotherKindThanItsTicketDoesNotRunAndIsFreeAgain) {
  const auto store = make_memory_store({});
  const auto queue = make_memory_queue();
  NewJob job;
  job.kind = "other";
  job.payload = "{}";
  const JobId id = store->insert({&job, 1}, 1min).at(0).value().id;
  const std::array ticket = {Ticket{id, "default", "kind"}};
  ASSERT_EQ(queue->publish(ticket), 1U);
  TicketSource source(*queue, *store, 1h);
  const std::vector<std::string> kinds = {"kind"};
  const auto jobs = source.claim({{}, kinds, 1}, "w", 1, 1min, 0s);
  ASSERT_TRUE(jobs) << jobs.error().message;
  EXPECT_TRUE(jobs->empty());
  ASSERT_TRUE(store->beat("w", 1, {}, true, 1min));
  const JobRecord record = store->monitor().job(id).value();
  EXPECT_EQ(record.state, State::kAvailable);
  EXPECT_EQ(record.attempt, 0);
}

}  // namespace
}  // namespace carrel
