// What claims of one process know of jobs with limits, where another brings those: they
// ask for them once a poll only, here in an hour.
#include <array>
#include <future>

#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class ServerLimits : public Server {
 protected:
  void SetUp() override {
    Server::SetUp();
    BackendOptions rarely;
    rarely.poll = 1h;
    worker_ = open(url(), rarely);
    producer_ = open(url());
    ASSERT_TRUE(worker_ && producer_);
    ASSERT_TRUE(insert(*producer_));
    ASSERT_THAT(finish(claim(*worker_, 1)), SizeIs(1))
        << "it knows that none has a limit";
  }
  static NewJob limited(std::string queue = "default") {
    NewJob one = job();
    one.queue = std::move(queue);
    one.limit = Limit{"key", 1};
    return one;
  }
  std::vector<Claimed> finish(std::vector<Claimed> runs) {
    for (auto& answer : worker_->finish(finishes(runs))) EXPECT_TRUE(answer.has_value());
    return runs;
  }

  std::uint64_t number_ = 100;
  std::unique_ptr<Store> worker_;
  std::unique_ptr<Store> producer_;
};
INSTANTIATE_TEST_SUITE_P(Of, ServerLimits,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerLimits, AClaimThatFindsNothingElseLooksForThem) {
  ASSERT_TRUE(insert(*producer_, limited()));
  EXPECT_THAT(claim(*worker_, 1), SizeIs(1));
}

TEST(Postgres, AClaimWritesNothingOfALimit) {
  postgres_kind().clean();
  const auto store = open_store(postgres().url()).value();
  NewJob limited;
  limited.kind = "work";
  limited.payload = "{}";
  limited.limit = Limit{"key", 1};
  ASSERT_TRUE(store->insert({&limited, 1}, 60s).at(0).has_value());
  const auto row = [] { return postgres().run("SELECT ctid FROM carrel_limits").at(0); };
  const std::string before = row();
  static const std::vector<std::string> kKinds = {"work"};
  const auto runs = store->claim_source()->claim({{}, kKinds, 1}, "w", 1, 30s, 0us);
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  ASSERT_THAT(*runs, SizeIs(1));
  EXPECT_EQ(row(), before);
}

// In carrel_limits, too, as older programs do, or in carrel_jobs alone.
TEST_P(ServerLimits, WhatRunsIsCountedHoweverItsClaimWroteIt) {
  NewJob second = limited();
  second.priority = 1;  // a lane of its own: it looks as if it could run
  for (const bool noted : {true, false}) {
    const Inserted first = insert(*producer_, limited()).value();
    const Inserted other = insert(*producer_, second).value();
    const std::string id = std::to_string(value(first.id));
    kind().run("UPDATE carrel_jobs SET state = 3, fence = 1 WHERE id = " + id);
    if (noted) kind().run("UPDATE carrel_limits SET state = 3 WHERE job = " + id);
    EXPECT_THAT(claim(*worker_, 1), IsEmpty());
    EXPECT_EQ(producer_->monitor().job(other.id).value().state, State::kPending);
    Finish end;
    end.lease = {first.id, Fence{1}};
    end.result = "{}";
    ASSERT_TRUE(worker_->finish({&end, 1}).at(0).has_value());
    const auto runs = finish(claim(*worker_, 1));
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_EQ(runs[0].lease.id, other.id);
  }
}

// What a claim of one lane asks first tells it the time only where there are jobs.
TEST_P(ServerLimits, SoDoesOneOfOneLaneAndItsLeaseIsWhole) {
  static const std::vector<std::string> kQueues = {"default"};
  static const std::vector<std::string> kKinds = {"work"};
  ASSERT_TRUE(insert(*producer_, limited()));
  const auto runs =
      worker_->claim_source()->claim({kQueues, kKinds, 1}, "w", 1, 30s, 0us);
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  ASSERT_THAT(*runs, SizeIs(1));
  const auto swept = worker_->sweep(10);
  ASSERT_TRUE(swept.has_value()) << swept.error().message;
  EXPECT_EQ(swept->rescued, 0U);
}

// Somebody holds its key for a while: what its rate counts, and its lease, begin after
// that.
TEST_P(ServerLimits, WhatIsClaimedAfterAWaitBeginsAfterIt) {
  NewJob rated = job();
  rated.rate = Rate{"key", 1, Duration(50ms)};
  ASSERT_TRUE(insert(*producer_, rated));
  const auto host = kind().session();
  *host << "BEGIN";
  long long slots = 0;
  *host << "SELECT COUNT(*) FROM (SELECT * FROM carrel_limit_slots FOR UPDATE) AS held",
      soci::into(slots);
  auto claimed = std::async(std::launch::async, [&] {
    for (;;) {  // until the host's transaction ends, if it takes so long
      static const std::vector<std::string> kKinds = {"work"};
      auto runs =
          worker_->claim_source()->claim({{}, kKinds, 1}, "w", ++number_, 2s, 0us);
      if (runs && !runs->empty()) return runs->size();
    }
  });
  until_it_waits_for("carrel_limit_slots");
  const auto number = [&](const std::string& sql) {
    return std::stoll(kind().run(sql).at(0));
  };
  const auto waited = number("SELECT now_us FROM carrel_clock");
  *host << "COMMIT";
  EXPECT_EQ(claimed.get(), 1U);
  EXPECT_GE(number("SELECT MAX(begun_at) FROM carrel_starts"), waited);
  EXPECT_GE(number("SELECT MAX(wake_at) FROM carrel_jobs"), waited + 2'000'000);
  EXPECT_EQ(number("SELECT MAX(begun_at) FROM carrel_starts"),
            number("SELECT MAX(started_at) FROM carrel_jobs"))
      << "so it is found where the job is given back";
}

// A claim that is one statement makes sure by itself that there is none.
TEST_P(ServerLimits, OnceOneWasSeenThoseOfOthersKeepTheirPlace) {
  static const std::vector<std::string> kQueues = {"default"};
  static const std::vector<std::string> kKinds = {"work"};
  for (const bool named : {false, true}) {
    const auto claim_one = [&] {
      auto runs = worker_->claim_source()->claim(
          {named ? std::span(kQueues) : std::span<const std::string>(), kKinds, 1}, "w",
          ++number_, 30s, 0us);
      return runs ? std::move(*runs) : std::vector<Claimed>{};
    };
    ASSERT_TRUE(insert(*producer_, limited()));
    ASSERT_THAT(finish(claim_one()), SizeIs(1));
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(insert(*producer_));
      ASSERT_THAT(finish(claim_one()), SizeIs(1)) << "there is no other";
    }
    ASSERT_TRUE(insert(*producer_));
    NewJob first = limited();
    first.priority = -1;
    ASSERT_TRUE(insert(*producer_, first));
    const auto runs = finish(claim_one());
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_EQ(runs[0].priority, -1) << named;
    ASSERT_THAT(finish(claim_one()), SizeIs(1));
  }
}

// Which is not one statement, or two round trips.
TEST_P(ServerLimits, SoDoesOneOfSeveralQueues) {
  for (const char* queue : {"a", "b"}) {
    NewJob plain = job();
    plain.queue = queue;
    ASSERT_TRUE(insert(*producer_, plain));
  }
  ASSERT_THAT(finish(claim(*worker_, 2)), SizeIs(2));
  ASSERT_TRUE(insert(*producer_, limited()));
  EXPECT_THAT(claim(*worker_, 1), SizeIs(1));
}

TEST_P(ServerLimits, SoDoesOneOfTickets) {
  ASSERT_TRUE(insert(*producer_));
  const Inserted plain = insert(*producer_).value();
  const Inserted held = insert(*producer_, limited()).value();
  ASSERT_TRUE(plain.ticket && held.ticket);
  const std::array tickets = {*plain.ticket, *held.ticket};
  const auto answers = worker_->claim(tickets, "w", 9, 30s);
  ASSERT_TRUE(answers.has_value()) << answers.error().message;
  EXPECT_TRUE(answers->at(0).has_value());
  EXPECT_TRUE(answers->at(1).has_value());
}

TEST_P(ServerLimits, WhatComesFromTheSameProcessKeepsItsPlaceAmongOthers) {
  ASSERT_TRUE(insert(*worker_));
  NewJob first = limited();
  first.priority = -1;
  const Inserted best = insert(*worker_, first).value();
  const auto runs = claim(*worker_, 1);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].lease.id, best.id);
}

TEST_P(ServerLimits, WhatEndedIsHeldToItsLimitWhenItIsRetried) {
  const std::array ids = {insert(*producer_, limited())->id,
                          insert(*producer_, limited())->id};
  ASSERT_THAT(finish(claim(*worker_, 2)), SizeIs(1)) << "the other waits";
  ASSERT_THAT(finish(claim(*worker_, 2)), SizeIs(1));
  // One that has seen none since they ended.
  BackendOptions rarely;
  rarely.poll = 1h;
  worker_ = open(url(), rarely);
  ASSERT_TRUE(insert(*producer_));
  ASSERT_THAT(finish(claim(*worker_, 2)), SizeIs(1));
  for (const auto& answer : producer_->retry(ids)) ASSERT_TRUE(answer.has_value());
  const auto runs = claim(*worker_, 2);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_THAT(claim(*worker_, 2), SizeIs(0));
  finish(runs);
  EXPECT_THAT(claim(*worker_, 2), SizeIs(1));
}

// Those whose time to begin is over are looked at no more, though they stand first until
// a sweep discards them.
TEST_P(ServerLimits, ManyThatHaveExpiredCostAClaimNothing) {
  std::vector<NewJob> expired(300, job());
  for (std::size_t i = 0; i < expired.size(); ++i) {
    expired[i].start_within = 1ms;
    if (i % 2 == 0) expired[i].limit = Limit{"key " + std::to_string(i), 1};
    if (i % 3 == 0) expired[i].rate = Rate{"rate " + std::to_string(i), 1, 1h};
    if (!expired[i].limit && !expired[i].rate) expired[i].limit = Limit{"other", 1000};
  }
  for (const auto& answer : producer_->insert(expired, 60s)) {
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
  }
  NewJob alive = limited();
  const JobId id = insert(*producer_, alive)->id;
  Proxy proxy(kind().port());
  const bool postgres = kind().name == std::string("postgresql");
  auto worker = open(url(proxy.port(), postgres ? "?listen=off" : ""));
  const auto before = proxy.sent();
  const auto runs = claim(*worker, 1);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].lease.id, id);
  EXPECT_LT(proxy.sent() - before, 60);
}

}  // namespace
}  // namespace carrel::test
