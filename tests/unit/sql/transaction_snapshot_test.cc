// PostgreSQL's REPEATABLE READ and SERIALIZABLE show a host's transaction nothing but
// what there was when it first read. What hangs on more than that is refused, and never
// taken from the past.
#include <functional>
#include <string>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class PostgresSnapshot : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(engine_.ignite()); }
  static Engine open() {
    kPostgres.clean();  // which ends every session
    Config config;
    config.store = kPostgres.url();
    config.log.level = LogLevel::kOff;
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    return Engine::open(std::move(config), std::move(registry)).value();
  }
  void begin() {
    *db_ << std::string("BEGIN ISOLATION LEVEL ") + GetParam();
    db_.number("SELECT COUNT(*) FROM carrel_jobs");  // its snapshot
  }
  Result<Inserted> enqueue(const EnqueueOptions& options) {
    return sql::enqueue(engine_, *db_, "work", {}, options);
  }
  Claimed claim() {
    const std::vector<std::string> kinds = {"work"};
    auto runs = engine_.store().claim_source()->claim({{}, kinds, 1}, "w", ++claims_,
                                                      Duration(1h), 0us);
    EXPECT_TRUE(runs.has_value() && runs->size() == 1);
    return runs && !runs->empty() ? std::move(runs->front()) : Claimed{};
  }
  void finish(const Claimed& run) {
    Finish finish;
    finish.lease = run.lease;
    EXPECT_TRUE(engine_.store().finish({&finish, 1}).at(0));
  }
  static EnqueueOptions unique() {
    EnqueueOptions options;
    options.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
    return options;
  }
  void expect_told_to_try_again(const Error& error) {
    EXPECT_EQ(error.code, Code::kUnavailable) << error.message;
    EXPECT_THAT(error.message, HasSubstr("roll back, and try it again"));
  }

  Engine engine_ = open();
  Db db_{kPostgres};
  std::uint64_t claims_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Of, PostgresSnapshot,
                         testing::Values("REPEATABLE READ", "SERIALIZABLE"),
                         [](const auto& level) {
                           return level.param[0] == 'R' ? "repeatable_read"
                                                        : "serializable";
                         });

TEST_P(PostgresSnapshot, WhoeverHeldAUniqueKeyInThePastIsNotMet) {
  const std::vector<std::function<void(JobId)>> ends = {
      [&](JobId id) { ASSERT_TRUE(engine_.cancel(id)); }, [&](JobId) { finish(claim()); },
      [&](JobId) { claim(); },  // it still holds the key: that is known once it is asked
  };
  for (const auto& end : ends) {
    const JobId holder = engine_.enqueue("work", {}, unique()).value();
    begin();
    end(holder);
    const auto met = enqueue(unique());
    ASSERT_FALSE(met) << "of what was: " << value(met->id);
    expect_told_to_try_again(met.error());
    *db_ << "ROLLBACK";
    begin();
    const auto again = enqueue(unique());
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->existed, &end == &ends.back());
    *db_ << "ROLLBACK";
  }
}

TEST_P(PostgresSnapshot, AHolderThatIsAsItWasIsMetAndNotHeldUp) {
  const JobId holder = engine_.enqueue("work", {}, unique()).value();
  begin();
  const auto met = enqueue(unique());
  ASSERT_TRUE(met) << met.error().message;
  EXPECT_TRUE(met->existed);
  EXPECT_EQ(met->id, holder);
  finish(claim());
  *db_ << "COMMIT";
  EXPECT_EQ(engine_.job(holder)->state, State::kCompleted);
}

TEST_P(PostgresSnapshot, ALimitThatWasFullInThePastHoldsNobodyForEver) {
  const EnqueueOptions limited{.limit = Limit{"key", 1}};
  ASSERT_TRUE(engine_.enqueue("work", {}, limited));
  const Claimed first = claim();
  begin();
  finish(first);
  const auto next = enqueue(limited);
  ASSERT_TRUE(next) << next.error().message;
  *db_ << "COMMIT";
  EXPECT_EQ(claim().lease.id, next->id);
}

// Nor is one claimed that its limit would hold: the claim is the one that counts.
TEST_P(PostgresSnapshot, ALimitThatIsFullByNowHolds) {
  const EnqueueOptions limited{.limit = Limit{"key", 1}};
  begin();
  ASSERT_TRUE(engine_.enqueue("work", {}, limited));
  const Claimed first = claim();
  const auto next = enqueue(limited);
  ASSERT_TRUE(next) << next.error().message;
  *db_ << "COMMIT";
  const std::vector<std::string> kinds = {"work"};
  const auto none =
      engine_.store().claim_source()->claim({{}, kinds, 1}, "w", 9, Duration(1h), 0us);
  ASSERT_TRUE(none);
  EXPECT_THAT(*none, SizeIs(0));
  finish(first);
  EXPECT_EQ(claim().lease.id, next->id);
}

// It would set free whom it sees, and leave who came meanwhile.
TEST_P(PostgresSnapshot, ACompletionThatSetsOthersFreeIsRefused) {
  ASSERT_TRUE(engine_.enqueue("work", {}, {.limit = Limit{"key", 1}}));
  const Claimed run = claim();
  begin();
  NoSink sink;
  Context job(run, sink);
  const auto refused = sql::complete(job, *db_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("use READ COMMITTED"));
  *db_ << "ROLLBACK";
}

TEST_P(PostgresSnapshot, ACompletionWhoseLeaseWasRenewedIsToldToTryAgain) {
  const JobId id = engine_.enqueue("work").value();
  const Claimed run = claim();
  NoSink sink;
  begin();
  Beat beat;
  beat.lease = run.lease;
  ASSERT_TRUE(engine_.store().beat("w", claims_, {&beat, 1}, true, Duration(2h)));
  {
    Context job(run, sink);
    const auto refused = sql::complete(job, *db_);
    ASSERT_FALSE(refused);
    expect_told_to_try_again(refused.error());
  }
  *db_ << "ROLLBACK";
  begin();
  Context job(run, sink);
  ASSERT_TRUE(sql::complete(job, *db_, 7));
  *db_ << "COMMIT";
  EXPECT_EQ(engine_.job(id)->result, "7");
}

TEST_P(PostgresSnapshot, ARequestThatCameMeanwhileIsToldToTryAgain) {
  begin();
  const JobId known = engine_.enqueue("work", {}, {.request_id = "r"}).value();
  const auto refused = enqueue({.request_id = "r"});
  ASSERT_FALSE(refused);
  expect_told_to_try_again(refused.error());
  *db_ << "ROLLBACK";
  begin();
  EXPECT_EQ(enqueue({.request_id = "r"}).value().id, known);
  *db_ << "ROLLBACK";
}

// SOCI knows no kind of error for it.
TEST(PostgresTransaction, ALockThatDoesNotComeIsUnavailable) {
  kPostgres.clean();
  Config config;
  config.store = kPostgres.url();
  config.log.level = LogLevel::kOff;
  Registry registry = Registry::with_builtins();
  register_sql(registry);
  Engine engine = Engine::open(std::move(config), std::move(registry)).value();
  ASSERT_TRUE(engine.ignite());
  Db one(kPostgres);
  Db other(kPostgres);
  const EnqueueOptions same{.request_id = "r"};
  one.begin();
  ASSERT_TRUE(sql::enqueue(engine, *one, "work", {}, same));
  other.begin();
  *other << "SET LOCAL lock_timeout = '20ms'";
  const auto refused = sql::enqueue(engine, *other, "work", {{"my", "secret"}}, same);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable) << refused.error().message;
  EXPECT_THAT(refused.error().message, HasSubstr("55P03"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("secret")));
  one.rollback();
  EXPECT_TRUE(sql::enqueue(engine, *other, "work", {}, same));
  other.commit();
}

}  // namespace
}  // namespace carrel::test
