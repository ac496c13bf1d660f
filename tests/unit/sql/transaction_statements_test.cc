// The statements that a host runs through a client of its own.
#include <string>
#include <utility>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::SizeIs;

// As a host's own client would run them: the parameters in their places.
std::string with_parameters(const sql::SqlStatement& statement, sql::Dialect dialect) {
  const auto literal = [&](const sql::SqlValue& value) -> std::string {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      return std::to_string(*number);
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
      std::string quoted = "'";
      for (const char c : *text) {
        if (c == '\'' || (c == '\\' && dialect == sql::Dialect::kMariadb)) quoted += c;
        quoted += c;
      }
      return quoted + "'";
    }
    return "NULL";
  };
  std::string sql;
  std::size_t next = 0;
  for (std::size_t i = 0; i < statement.text.size(); ++i) {
    if (statement.text[i] == '?') {
      sql += literal(statement.parameters.at(next++));
    } else if (statement.text[i] == '$') {
      std::size_t digits = 0;
      const int n = std::stoi(statement.text.substr(i + 1), &digits);
      sql += literal(statement.parameters.at(static_cast<std::size_t>(n) - 1));
      i += digits;
    } else {
      sql += statement.text[i];
    }
  }
  return sql;
}

TEST_P(Transaction, TheStatementsAreWhatEnqueueDoes) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  const auto run = [&](const Json& args, const EnqueueOptions& options) {
    const auto made =
        sql::enqueue_statements(engine, kind().dialect, "work", args, options);
    if (!made) throw std::runtime_error(made.error().message);
    std::vector<std::string> answer;
    for (const auto& statement : made->statements) {
      answer = kind().run(with_parameters(statement, kind().dialect));
    }
    EXPECT_THAT(answer, SizeIs(1));
    return std::pair(JobId{std::stoull(answer.at(0))}, made->ticket);
  };
  const auto [plain, ticket] = run({{"it's", "é\\"}}, {});
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->kind, "work");
  const auto [later, none] = run({}, {.delay = 1h, .start_within = 1min});
  EXPECT_FALSE(none);
  const auto [soon, with_expiry] = run({}, {.start_within = 1h});
  EXPECT_TRUE(with_expiry);
  const auto [asked, first] = run({{"n", 1}}, {.request_id = "it's"});
  const auto [again, second] = run({{"n", 2}}, {.request_id = "it's"});
  EXPECT_EQ(asked, again);

  const auto usual = engine.enqueue("work", {{"it's", "é\\"}}).value();
  const JobRecord want = engine.job(usual).value();
  const JobRecord got = engine.job(plain).value();
  EXPECT_EQ(got.payload, want.payload);
  EXPECT_EQ(got.state, want.state);
  EXPECT_EQ(got.queue, want.queue);
  EXPECT_EQ(got.max_attempts, want.max_attempts);
  EXPECT_EQ(got.run_at, got.enqueued);
  EXPECT_LT(want.enqueued - got.enqueued, Duration(1min)) << "the same clock";
  EXPECT_GT(want.enqueued - got.enqueued, Duration(-1min));
  const JobRecord scheduled = engine.job(later).value();
  EXPECT_EQ(scheduled.state, State::kScheduled);
  EXPECT_EQ(scheduled.run_at - scheduled.enqueued, Duration(1h));
  EXPECT_EQ(scheduled.expires.value() - scheduled.run_at, Duration(1min));
  EXPECT_EQ(engine.job(soon)->expires.value() - engine.job(soon)->run_at, Duration(1h));
  EXPECT_EQ(engine.job(asked)->request_id, "it's");
  EXPECT_EQ(engine.job(asked)->payload, R"({"n":1})");
  EXPECT_EQ(engine.enqueue("work", {}, {.request_id = "it's"}).value(), asked);
  // All of them can be claimed and run.
  engine.handle("work", [](Context&) {});
  Engine worker = open(config());
  worker.handle("work", [](Context&) {});
  EXPECT_EQ(worker.drain().value().completed, 4U);
  const auto limited = sql::enqueue_statements(engine, kind().dialect, "work", {},
                                               {.limit = Limit{"key", 1}});
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code, Code::kUnsupported);
  const auto rated = sql::enqueue_statements(engine, kind().dialect, "work", {},
                                             {.rate = Rate{"key", 1, Duration(1h)}});
  ASSERT_FALSE(rated);
  EXPECT_EQ(rated.error().code, Code::kUnsupported);
  UniqueConfig by_args;
  by_args.fields = {"args"};
  const auto unique =
      sql::enqueue_statements(engine, kind().dialect, "work", {}, {.unique = by_args});
  ASSERT_FALSE(unique);
  EXPECT_EQ(unique.error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace carrel::test
