// Whom a transaction that a host leaves open holds up: those who want what it has.
#include <string>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::SizeIs;

class OpenTransaction : public Transaction {
 protected:
  static EnqueueOptions unique() {
    EnqueueOptions options;
    options.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
    return options;
  }
  // That others enqueue and end what they will.
  static void expect_free(Engine& engine, const Claimed& run) {
    const auto plain = engine.enqueue("other");
    EXPECT_TRUE(plain) << plain.error().message;
    const auto named = engine.enqueue("other", {}, {.request_id = "another"});
    EXPECT_TRUE(named) << named.error().message;
    const auto keyed = engine.enqueue("keyed", {}, unique());
    EXPECT_TRUE(keyed) << keyed.error().message;
    Finish finish;
    finish.lease = run.lease;
    const auto ended = std::move(engine.store().finish({&finish, 1}).front());
    EXPECT_TRUE(ended) << ended.error().message;
  }
};

INSTANTIATE_TEST_SUITE_P(, OpenTransaction, testing::Values(kPostgres, kMariadb),
                         [](const auto& of) { return std::string(of.param.name); });

// Also where the store holds so little that a database would rather read all of it.
TEST_P(OpenTransaction, AUniqueKeyHoldsUpNoOther) {
  Engine engine = ignited(config());
  ASSERT_TRUE(engine.enqueue("run"));
  const Claimed run = claim(engine, "run");
  Db db(kind());
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "mine", {}, unique()));
  expect_free(engine, run);
  db.commit();
  EXPECT_EQ(jobs(engine, State::kAvailable), 4U);
}

TEST_P(OpenTransaction, ARequestHoldsUpNoOther) {
  Engine engine = ignited(config());
  ASSERT_TRUE(engine.enqueue("run"));
  const Claimed run = claim(engine, "run");
  Db db(kind());
  db.begin();
  for (int i = 0; i < 2; ++i) {  // the second time it is there
    ASSERT_TRUE(sql::enqueue(engine, *db, "mine", {}, {.request_id = "mine"}));
  }
  expect_free(engine, run);
  db.commit();
  EXPECT_EQ(jobs(engine, State::kAvailable), 4U);
}

TEST_P(OpenTransaction, ARequestByStatementsHoldsUpNoOther) {
  Engine engine = ignited(config());
  ASSERT_TRUE(engine.enqueue("run"));
  const Claimed run = claim(engine, "run");
  const auto enqueue = [&](HostClient& client, const std::string& request) {
    const auto made = sql::enqueue_statements(engine, kind().dialect, "mine", {},
                                              {.request_id = request});
    ASSERT_TRUE(made) << made.error().message;
    std::vector<std::string> answer;
    for (const auto& statement : made->statements) answer = client.run(statement);
    EXPECT_THAT(answer, SizeIs(1));
  };
  const auto client = kind().client();
  client->run({"BEGIN", {}});
  enqueue(*client, "mine");
  expect_free(engine, run);
  const auto other = kind().client();
  other->run({"BEGIN", {}});
  enqueue(*other, "theirs");
  other->run({"COMMIT", {}});
  enqueue(*client, "mine");  // again: it is there by now
  client->run({"COMMIT", {}});
  EXPECT_EQ(jobs(engine, State::kAvailable), 5U);
}

}  // namespace
}  // namespace carrel::test
