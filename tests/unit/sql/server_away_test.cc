// Servers that are not the one that is wanted any more, and programs that are not there
// any more: nobody says goodbye.
#include <memory>
#include <string>

#include "server_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;

// A process that is stopped in the middle of a transaction, or a host without power,
// holds what all others need.
TEST_P(Server, ATransactionThatAsksNothingIsEndedByTheServer) {
  auto store = open(url());
  const JobId id = insert(*store)->id;
  const auto driver = driver_of(url());
  const auto session = driver->connect();
  session->begin();
  session->soci() << "UPDATE carrel_jobs SET priority = 1 WHERE id = " << value(id);
  const auto until = SteadyClock::now() + 60s;
  while (claim(*store, 1).empty() && SteadyClock::now() < until) {
    std::this_thread::sleep_for(100ms);  // for the server's own timer
  }
  EXPECT_EQ(store->monitor().job(id)->state, State::kRunning);
  try {
    session->commit();
    ADD_FAILURE() << "it went on";
  } catch (...) {
    EXPECT_TRUE(driver->failure(session.get()).lost);
  }
  session->cut();
}

// A call may take less than a lock is waited for otherwise (2 s), and who waits for one
// is not taken for dead.
TEST_P(Server, WhereCallsAreShortALockGivesUpBeforeThem) {
  auto store = open(url("?call_timeout=1500ms"));
  std::vector<JobId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(insert(*store)->id);
  const auto runs = claim(*store, ids.size());
  ASSERT_EQ(runs.size(), ids.size());
  auto host = kind().session();
  host->begin();
  *host << "UPDATE carrel_jobs SET priority = 1 WHERE id = " << value(ids[1]);
  const auto answers = store->finish(finishes(runs));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].lease.id != ids[1]) {
      EXPECT_TRUE(answers[i].has_value()) << answers[i].error().message;
      continue;
    }
    ASSERT_FALSE(answers[i].has_value());
    EXPECT_THAT(answers[i].error().message, HasSubstr("another transaction holds"));
  }
  host->rollback();
}

// After a failover an address may lead to a server that only reads, for a while.
TEST(Postgres, AStandbyIsAwayUntilItIsPromoted) {
  postgres_kind().clean();
  auto store = open_store(postgres().tcp_url()).value();
  const NewJob job = [] {
    NewJob made;
    made.kind = "work";
    made.payload = "{}";
    made.limit = Limit{"key", 1};  // so that it takes a transaction
    return made;
  }();
  const auto insert = [&] { return std::move(store->insert({&job, 1}, 60s).at(0)); };
  ASSERT_TRUE(insert());
  postgres().stop("INT");
  postgres().make_standby();
  postgres().start();
  for (int i = 0; i < 3; ++i) {
    const auto away = insert();
    EXPECT_EQ(away ? Code{} : away.error().code, Code::kUnavailable);
  }
  postgres().run("SELECT pg_promote()");
  for (const auto until = SteadyClock::now() + 60s; SteadyClock::now() < until;) {
    if (insert()) return;
    std::this_thread::sleep_for(10ms);  // the caller's own back-off
  }
  ADD_FAILURE() << "it never works again";
}

}  // namespace
}  // namespace carrel::test
