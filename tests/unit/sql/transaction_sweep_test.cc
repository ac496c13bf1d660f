// What falls due while a host's transaction is open: it holds what it has named until its
// commit, and holds up nothing else.
#include <string>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

// Not over SQLite, where nobody else writes meanwhile.
class HeldSweep : public Transaction {
 protected:
  static Config keeping_nothing(Config config) {
    config.retention.cancelled = 1us;
    config.retention.discarded = 0us;
    return config;
  }
  static void sweep(Engine& engine) {
    const auto swept = engine.store().sweep(1000);
    ASSERT_TRUE(swept) << swept.error().message;
  }
  // Sweeps while `still`; a sweep that cannot be done ends it, too.
  template <class Still>
  static void sweep_while(Engine& engine, Still still) {
    while (still() && !HasFatalFailure()) sweep(engine);
  }
  static JobId ended(Engine& engine, const EnqueueOptions& options) {
    const JobId id = engine.enqueue("charge", {}, options).value();
    EXPECT_TRUE(engine.cancel(id));
    return id;
  }
};

TEST_P(HeldSweep, AnOpenEnqueueOfAKeyHoldsUpNoOtherJobThatFallsDue) {
  Engine engine = ignited(config());
  Db db(kind());
  const Limit limit{"key", 1};
  const auto same = engine.enqueue("charge", {}, {.delay = 1ms, .limit = limit}).value();
  const auto other = engine.enqueue("work", {}, {.delay = 1ms}).value();
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "charge", {}, {.limit = limit}));
  sweep_while(engine, [&] { return engine.job(other)->state == State::kScheduled; });
  EXPECT_EQ(engine.job(same)->state, State::kScheduled);
  db.rollback();
  sweep_while(engine, [&] { return engine.job(same)->state == State::kScheduled; });
  EXPECT_EQ(engine.job(same)->state, State::kAvailable);
}

// As many as one statement looks at, and they fell due before all others.
TEST_P(HeldSweep, NorDoManyJobsOfThatKey) {
  Engine engine = ignited(config());
  Db db(kind());
  const Limit limit{"key", 1};
  std::vector<Request> many(1100, {"charge", {}, {.delay = 1ms, .limit = limit}});
  for (const auto& job : engine.enqueue(many)) ASSERT_TRUE(job);
  const auto other = engine.enqueue("work", {}, {.delay = 1ms}).value();
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "charge", {}, {.limit = limit}));
  const auto until = std::chrono::steady_clock::now() + 20s;
  sweep_while(engine, [&] {
    return engine.job(other)->state == State::kScheduled &&
           std::chrono::steady_clock::now() < until;
  });
  EXPECT_EQ(engine.job(other)->state, State::kAvailable);
  db.rollback();
}

// Its final job is to be purged, as are others.
TEST_P(HeldSweep, AnOpenEnqueueOfAUniqueKeyHoldsUpNothingElse) {
  Engine engine = ignited(keeping_nothing(config()));
  Db db(kind());
  EnqueueOptions options;
  options.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
  const JobId held = ended(engine, options);
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "charge", {}, options));
  const JobId gone = ended(engine, {});
  const auto due = engine.enqueue("work", {}, {.delay = 1ms}).value();
  sweep_while(engine, [&] { return engine.job(due)->state == State::kScheduled; });
  sweep_while(engine, [&] { return engine.job(gone).has_value(); });
  EXPECT_TRUE(engine.job(held));
  db.rollback();
  sweep_while(engine, [&] { return engine.job(held).has_value(); });
}

TEST_P(HeldSweep, AnOpenEnqueueOfAKnownRequestHoldsUpNothingElse) {
  Engine engine = ignited(keeping_nothing(config()));
  Db db(kind());
  const JobId held = ended(engine, {.request_id = "request"});
  db.begin();
  const auto met = sql::enqueue(engine, *db, "charge", {}, {.request_id = "request"});
  ASSERT_TRUE(met);
  EXPECT_EQ(met->id, held);
  const JobId gone = ended(engine, {});
  const auto due = engine.enqueue("work", {}, {.delay = 1ms}).value();
  sweep_while(engine, [&] { return engine.job(due)->state == State::kScheduled; });
  sweep_while(engine, [&] { return engine.job(gone).has_value(); });
  db.rollback();
  sweep_while(engine, [&] { return engine.job(held).has_value(); });
}

// One whose job is gone, and whose period is over.
TEST_P(HeldSweep, AnOpenEnqueueOfAKeyThatWasLeftBehindHoldsUpNothing) {
  Engine engine = ignited(keeping_nothing(config()));
  Db db(kind());
  EnqueueOptions options;
  options.unique = UniqueConfig{{"kind"}, Duration(100ms), {}, OnConflict::kSkip};
  const auto left = [&] { return db.number("SELECT COUNT(*) FROM carrel_unique"); };
  do {  // a machine that takes longer than the period has nothing to leave behind
    const JobId held = ended(engine, options);
    sweep_while(engine, [&] { return engine.job(held).has_value(); });
  } while (left() == 0 && !HasFatalFailure());
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "charge", {}, options));
  const auto due = engine.enqueue("work", {}, {.delay = 200ms}).value();
  sweep_while(engine, [&] { return engine.job(due)->state == State::kScheduled; });
  db.rollback();
  sweep_while(engine, [&] { return left() > 0; });
}

// One whose last attempt is lost, and that is not kept.
TEST_P(HeldSweep, AKeyOfALostJobThatIsNotKeptHoldsUpNoRescue) {
  Engine engine = ignited(keeping_nothing(config()));
  Db db(kind());
  EnqueueOptions options;
  options.unique =
      UniqueConfig{{"kind"}, Duration{0}, {State::kAvailable}, OnConflict::kSkip};
  options.max_attempts = 1;
  const JobId lost = engine.enqueue("charge", {}, options).value();
  const auto other = engine.enqueue("charge", {}).value();
  const std::vector<std::string> kinds = {"charge"};
  const auto runs =
      engine.store().claim_source()->claim({{}, kinds, 2}, "w", 1, Duration(1ms), 0us);
  ASSERT_TRUE(runs);
  ASSERT_THAT(*runs, testing::SizeIs(2));
  db.begin();
  const auto fresh = sql::enqueue(engine, *db, "charge", {}, options);
  ASSERT_TRUE(fresh);
  EXPECT_NE(fresh->id, lost);
  sweep_while(engine, [&] { return engine.job(other)->state == State::kRunning; });
  EXPECT_EQ(engine.job(other)->state, State::kAvailable);
  db.rollback();
  sweep_while(engine, [&] { return engine.job(lost).has_value(); });
}

INSTANTIATE_TEST_SUITE_P(, HeldSweep, testing::Values(kPostgres, kMariadb),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace carrel::test
