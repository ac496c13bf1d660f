// Places in limits that are reserved (server/limits.h).
#include <algorithm>
#include <string>
#include <vector>

#include "server_case.h"

namespace carrel::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// What carrel_jobs says of a job: its state, and whether it has had a place.
constexpr const char* kReserved = "2 1";
constexpr const char* kAsks = "18 0";
constexpr const char* kUnreserved = "18 1";
constexpr const char* kPending = "0 0";

class ServerReserved : public Server {
 protected:
  void SetUp() override {
    Server::SetUp();
    store_ = open(url());
    ASSERT_TRUE(store_);
  }
  static NewJob limited(std::uint32_t running, std::string queue = "default") {
    NewJob one = job();
    one.queue = std::move(queue);
    one.limit = Limit{"key", running};
    return one;
  }
  std::string stands(JobId id) const {
    const auto cells =
        kind().run("SELECT CONCAT(state, ' ', limited) FROM carrel_jobs WHERE id = " +
                   std::to_string(value(id)));
    return cells.empty() ? "" : cells[0];
  }
  // As a transaction that could count nothing leaves what it has inserted: a host's whose
  // snapshot is old.
  void make_it_ask(JobId id) const {
    const std::string job = std::to_string(value(id));
    kind().run("UPDATE carrel_jobs SET state = 18, limited = 0 WHERE id = " + job);
    kind().run("UPDATE carrel_limits SET state = 2 WHERE job = " + job);
  }
  std::vector<JobId> claim_from(const std::string& queue, std::size_t max = 10) {
    static const std::vector<std::string> kKinds = {"work"};
    const std::vector<std::string> queues = {queue};
    auto runs =
        store_->claim_source()->claim({queues, kKinds, max}, "w", ++claims_, 30s, 0us);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? noted(std::move(*runs)) : std::vector<JobId>{};
  }
  std::vector<JobId> claim_all() { return noted(claim(*store_, 10)); }
  void finish(JobId id) {
    const auto run = std::find_if(runs_.rbegin(), runs_.rend(),
                                  [&](const auto& one) { return one.lease.id == id; });
    ASSERT_NE(run, runs_.rend());
    for (auto& answer : store_->finish(finishes({*run}))) {
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(answer->kind, Finished::Kind::kApplied);
    }
  }

  std::unique_ptr<Store> store_;

 private:
  std::vector<JobId> noted(std::vector<Claimed> runs) {
    std::vector<JobId> ids;
    for (Claimed& run : runs) {
      ids.push_back(run.lease.id);
      runs_.push_back(std::move(run));
    }
    return ids;
  }
  std::vector<Claimed> runs_;
};
INSTANTIATE_TEST_SUITE_P(Of, ServerReserved,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerReserved, PlacesAreThoseOfAllThatMayRunBesideWhatRuns) {
  const auto ids = insert_all(*store_, {limited(2), limited(2), limited(2), limited(2)});
  EXPECT_EQ(stands(ids[0]), kReserved);
  EXPECT_EQ(stands(ids[1]), kReserved);
  EXPECT_EQ(stands(ids[2]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(ids[0], ids[1]));
  finish(ids[1]);
  EXPECT_EQ(stands(ids[2]), kReserved) << "its end has looked at its key";
  EXPECT_EQ(stands(ids[3]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(ids[2]));
  finish(ids[0]);
  finish(ids[2]);
  const JobId next = insert(*store_, limited(2)).value().id;
  EXPECT_EQ(stands(next), kReserved) << "beside one that waits for its claim";
  EXPECT_THAT(claim_all(), ElementsAre(ids[3], next));
}

TEST_P(ServerReserved, WhoClaimsOneNeedsNotItsKey) {
  const JobId one = insert(*store_, limited(1)).value().id;
  const auto host = kind().session();
  *host << "BEGIN";
  long long slot = 0;
  *host << "SELECT slot FROM carrel_limit_slots FOR UPDATE", soci::into(slot);
  EXPECT_THAT(claim_all(), ElementsAre(one));
  *host << "ROLLBACK";
}

// Each may run alone, and it is for claims to say which.
TEST_P(ServerReserved, LanesThatWouldBeTooManyTogetherHaveNone) {
  const auto ids = insert_all(*store_, {limited(1, "one"), limited(1, "other")});
  EXPECT_EQ(stands(ids[0]), kAsks);
  EXPECT_EQ(stands(ids[1]), kAsks);
  EXPECT_THAT(claim_from("other"), ElementsAre(ids[1]));
  EXPECT_THAT(claim_from("one"), IsEmpty());
  EXPECT_EQ(stands(ids[0]), kPending);
  finish(ids[1]);
  EXPECT_EQ(stands(ids[0]), kReserved) << "alone now";
  EXPECT_THAT(claim_from("one"), ElementsAre(ids[0]));
}

TEST_P(ServerReserved, NorHasWhatComesBesideOneThatHasToAsk) {
  const auto ids = insert_all(*store_, {limited(3, "one")});
  make_it_ask(ids[0]);
  const JobId other = insert(*store_, limited(3, "other")).value().id;
  EXPECT_EQ(stands(other), kAsks);
  NewJob rated = limited(3, "rated");
  rated.rate = Rate{"rate", 5, 1h};
  EXPECT_EQ(stands(insert(*store_, rated).value().id), kAsks);
  EXPECT_THAT(claim_from("one"), SizeIs(1));
  EXPECT_THAT(claim_from("other"), SizeIs(1));
  EXPECT_THAT(claim_from("rated"), SizeIs(1));
}

// A claim of one with a rate has to ask for that.
TEST_P(ServerReserved, NorHasOneWithARateThatWaitedForItsLimit) {
  const JobId first = insert(*store_, limited(1)).value().id;
  EXPECT_THAT(claim_all(), ElementsAre(first));
  NewJob rated = limited(1);
  rated.rate = Rate{"rate", 5, 1h};
  const JobId waits = insert(*store_, rated).value().id;
  EXPECT_EQ(stands(waits), kPending);
  finish(first);
  EXPECT_EQ(stands(waits), kAsks);
  EXPECT_THAT(claim_all(), ElementsAre(waits));
}

// Nobody works on its queue: then the other does not wait for it.
TEST_P(ServerReserved, AnotherLaneMayHaveThePlace) {
  const JobId idle = insert(*store_, limited(1, "idle")).value().id;
  const JobId other = insert(*store_, limited(1)).value().id;
  EXPECT_EQ(stands(idle), kReserved);
  EXPECT_EQ(stands(other), kAsks);
  EXPECT_THAT(claim_from("default"), ElementsAre(other));
  EXPECT_EQ(stands(idle), kUnreserved);
  EXPECT_THAT(claim_from("idle"), IsEmpty());
  finish(other);
  EXPECT_EQ(stands(idle), kReserved);
  EXPECT_THAT(claim_from("idle"), ElementsAre(idle));
}

TEST_P(ServerReserved, ByTicketsToo) {
  const Inserted idle = insert(*store_, limited(1, "idle")).value();
  const Inserted other = insert(*store_, limited(1)).value();
  ASSERT_TRUE(other.ticket.has_value());
  const auto claimed = store_->claim({&*other.ticket, 1}, "w", ++claims_, 30s).value();
  ASSERT_THAT(claimed, SizeIs(1));
  EXPECT_TRUE(claimed[0].has_value());
  EXPECT_EQ(stands(idle.id), kUnreserved);
  const auto refused = store_->claim({&*idle.ticket, 1}, "w", ++claims_, 30s).value();
  ASSERT_FALSE(refused.at(0).has_value());
  EXPECT_EQ(refused[0].error(), Refusal::kLimited);
}

// Between its lock and its commit a claim holds the row, and is likely to run it.
TEST_P(ServerReserved, WhatIsBeingClaimedKeepsItsPlace) {
  const JobId first = insert(*store_, limited(1, "idle")).value().id;
  const JobId other = insert(*store_, limited(1)).value().id;
  for (const char* end : {"ROLLBACK", "COMMIT"}) {
    const auto claimer = kind().session();
    *claimer << "BEGIN";
    *claimer << "UPDATE carrel_jobs SET state = 3, fence = fence + 1 WHERE id = "
             << value(first);
    EXPECT_THAT(claim_from("default"), IsEmpty());
    EXPECT_EQ(stands(other), kAsks) << "it may have the place yet";
    EXPECT_EQ(stands(first), kReserved);
    *claimer << end;
  }
  EXPECT_THAT(claim_from("default"), IsEmpty());
  EXPECT_EQ(stands(other), kPending);
}

// It runs beside none, the other beside four.
TEST_P(ServerReserved, SoDoesWhatMustRunAlone) {
  const JobId strict = insert(*store_, limited(1, "strict")).value().id;
  const JobId lax = insert(*store_, limited(5)).value().id;
  const auto claimer = kind().session();
  *claimer << "BEGIN";
  *claimer << "UPDATE carrel_jobs SET state = 3, fence = fence + 1 WHERE id = "
           << value(strict);
  EXPECT_THAT(claim_from("default"), IsEmpty());
  *claimer << "COMMIT";
  EXPECT_THAT(claim_from("default"), ElementsAre(lax)) << "its own limit lets it";
}

// Its run without a limit ended elsewhere, unknown here; an enqueue gave it one.
TEST_P(ServerReserved, OneThatWasClaimedBeforeItHadALimitLetsTheNextGo) {
  const JobId one = insert(*store_).value().id;
  EXPECT_THAT(claim_all(), ElementsAre(one));
  const std::string id = std::to_string(value(one));
  kind().run("UPDATE carrel_jobs SET state = 2, limited = 1 WHERE id = " + id);
  kind().run(
      "INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)"
      " VALUES (" +
      id + ", 'key', CONCAT('default', CHR(31), 'work', CHR(31), 0), 0, 1, 2)");
  const JobId next = insert(*store_, limited(1)).value().id;
  EXPECT_EQ(stands(next), kPending);
  NewJob asks = limited(1);
  asks.limit->key = "another";
  NewJob asks_too = asks;
  asks_too.priority = 1;
  const auto others = insert_all(*store_, {asks, asks_too});
  EXPECT_THAT(claim_all(), ElementsAre(one, others[0]));
  finish(one);
  EXPECT_EQ(stands(next), kReserved);
}

TEST_P(ServerReserved, WhatWasNotClaimedAfterAllGivesItUp) {
  const JobId first = insert(*store_, limited(1, "idle")).value().id;
  const JobId other = insert(*store_, limited(1)).value().id;
  const auto claimer = kind().session();
  *claimer << "BEGIN";
  long long id = 0;
  *claimer << "SELECT id FROM carrel_jobs WHERE id = " << value(first) << " FOR UPDATE",
      soci::into(id);
  ASSERT_EQ(id, static_cast<long long>(value(first)));
  EXPECT_THAT(claim_from("default"), IsEmpty());
  *claimer << "ROLLBACK";
  EXPECT_THAT(claim_from("default"), ElementsAre(other));
  EXPECT_THAT(claim_from("idle"), IsEmpty());
  finish(other);
  EXPECT_THAT(claim_from("idle"), ElementsAre(first));
}

// One may run beside four others, the other beside none.
TEST_P(ServerReserved, TheLeastLimitOfThoseThatHaveOneCounts) {
  const JobId strict = insert(*store_, limited(1, "strict")).value().id;
  const JobId lax = insert(*store_, limited(5, "lax")).value().id;
  EXPECT_EQ(stands(strict), kReserved);
  EXPECT_EQ(stands(lax), kAsks);
  EXPECT_THAT(claim_from("lax"), ElementsAre(lax));
  EXPECT_THAT(claim_from("strict"), IsEmpty());
  finish(lax);
  EXPECT_THAT(claim_from("strict"), ElementsAre(strict));
  const auto both = insert_all(*store_, {limited(5, "lax"), limited(5, "lax")});
  EXPECT_EQ(stands(both[0]), kReserved) << "they are let run beside what runs";
  EXPECT_THAT(claim_from("lax"), SizeIs(2));
}

TEST_P(ServerReserved, WhatComesFirstIsTriedFirst) {
  const JobId first = insert(*store_, limited(1)).value().id;
  const JobId second = insert(*store_, limited(1)).value().id;
  make_it_ask(second);
  const JobId plain = insert(*store_).value().id;
  EXPECT_THAT(claim_all(), ElementsAre(first, plain));
  EXPECT_EQ(stands(second), kPending);
}

TEST_P(ServerReserved, WhatFitsBesideThemTakesNoneAway) {
  const JobId first = insert(*store_, limited(2)).value().id;
  const JobId second = insert(*store_, limited(2)).value().id;
  make_it_ask(second);
  EXPECT_THAT(claim_all(), ElementsAre(first, second));
  EXPECT_EQ(stands(first), "3 1");
}

// A key that nobody has is looked for in vain, and by a host's locking read at length.
TEST_P(ServerReserved, WhoHasNoLimitAnyMoreHasNone) {
  NewJob keyed = limited(1);
  keyed.unique = Unique{"unique", Duration{0}, {State::kAvailable}, OnConflict::kReplace};
  const JobId one = insert(*store_, keyed).value().id;
  EXPECT_EQ(stands(one), kReserved);
  keyed.limit = Limit{"another", 1};
  EXPECT_EQ(insert(*store_, keyed).value().id, one);
  EXPECT_EQ(stands(one), kReserved);
  keyed.limit.reset();
  EXPECT_EQ(insert(*store_, keyed).value().id, one);
  EXPECT_EQ(stands(one), "2 0");
  EXPECT_THAT(claim_all(), ElementsAre(one));
}

}  // namespace
}  // namespace carrel::test
