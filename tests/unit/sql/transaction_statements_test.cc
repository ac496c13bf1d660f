// The statements that a host runs through a client of its own.
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

struct Made {
  JobId id;
  std::optional<Ticket> ticket;
};

// In a transaction of their own, as the header says.
Made enqueue_bound(const Kind& kind, const Engine& engine, std::string_view job,
                   const Json& args, const EnqueueOptions& options) {
  const auto made = sql::enqueue_statements(engine, kind.dialect, job, args, options);
  if (!made) throw std::runtime_error(made.error().message);
  const auto client = kind.client();
  client->run({"BEGIN", {}});
  std::vector<std::string> answer;
  for (const auto& statement : made->statements) answer = client->run(statement);
  client->run({"COMMIT", {}});
  if (answer.size() != 1) throw std::runtime_error("the last does not answer with a row");
  return {JobId{std::stoull(answer.at(0))}, made->ticket};
}

// All that was said of it, and what became of that.
void expect_same_job(const JobRecord& got, const JobRecord& want) {
  EXPECT_EQ(got.state, want.state);
  EXPECT_EQ(got.queue, want.queue);
  EXPECT_EQ(got.kind, want.kind);
  EXPECT_EQ(got.payload, want.payload);
  EXPECT_EQ(got.priority, want.priority);
  EXPECT_EQ(got.max_attempts, want.max_attempts);
  EXPECT_EQ(got.timeout, want.timeout);
  EXPECT_EQ(got.run_at - got.enqueued, want.run_at - want.enqueued);
  ASSERT_EQ(got.expires.has_value(), want.expires.has_value());
  if (want.expires) {
    EXPECT_EQ(*got.expires - got.run_at, *want.expires - want.run_at);
  }
  EXPECT_LT(want.enqueued - got.enqueued, Duration(1min)) << "the same clock";
  EXPECT_GT(want.enqueued - got.enqueued, Duration(-1min));
}

// Beyond ASCII and the BMP, and what would be a place for a parameter or end a literal.
constexpr const char* kText = "é漢🚀 it's \\ \" ? $1 :wake";

TEST_P(Transaction, TheStatementsAreWhatEnqueueDoes) {
  Engine engine = ignited(config());
  const auto run = [&](const Json& args, const EnqueueOptions& options) {
    return enqueue_bound(kind(), engine, "work", args, options);
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
  expect_same_job(engine.job(plain).value(), engine.job(usual).value());
  const JobRecord scheduled = engine.job(later).value();
  EXPECT_EQ(scheduled.state, State::kScheduled);
  EXPECT_EQ(scheduled.run_at - scheduled.enqueued, Duration(1h));
  EXPECT_EQ(scheduled.expires.value() - scheduled.run_at, Duration(1min));
  EXPECT_EQ(engine.job(soon)->expires.value() - engine.job(soon)->run_at, Duration(1h));
  EXPECT_EQ(engine.job(asked)->request_id, "it's");
  EXPECT_EQ(engine.job(asked)->payload, R"({"n":1})");
  EXPECT_EQ(engine.enqueue("work", {}, {.request_id = "it's"}).value(), asked);
  // All of them can be claimed and run.
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

TEST_P(Transaction, EveryParameterOfAStatementIsBound) {
  Engine engine = open(config());
  const std::string name = kText;
  engine.handle(name, [](Context& job) { return job.args(); });
  ASSERT_TRUE(engine.ignite());
  const Json args = {
      {"nul", std::string("a\0b", 3)}, {name, name}, {"long", std::string(100'000, 'x')}};
  EnqueueOptions options{.queue = name + " queue",
                         .delay = 7ms,
                         .start_within = 2h,
                         .timeout = 90s,
                         .priority = std::int16_t{-3},
                         .max_attempts = 11};
  const JobId usual = engine.enqueue(name, args, options).value();
  const Made unnamed = enqueue_bound(kind(), engine, name, args, options);
  options.request_id = name + " request";
  const Made named = enqueue_bound(kind(), engine, name, args, options);
  EXPECT_EQ(named.id, enqueue_bound(kind(), engine, name, {}, options).id);
  EXPECT_EQ(named.id, engine.enqueue(name, {}, options).value());
  EXPECT_EQ(engine.job(named.id)->request_id, options.request_id);
  EXPECT_EQ(engine.job(unnamed.id)->request_id, "");
  for (const JobId id : {unnamed.id, named.id}) {
    expect_same_job(engine.job(id).value(), engine.job(usual).value());
  }
  // They fall due, are claimed and end.
  ASSERT_TRUE(engine.start());
  for (const JobId id : {unnamed.id, named.id}) {
    EXPECT_EQ(engine.wait(id, kLong).value(), args);
    EXPECT_EQ(engine.job(id)->state, State::kCompleted);
  }
}

TEST_P(Transaction, WhatAStatementSaysNothingOfIsNull) {
  Engine engine = open(config());
  engine.handle("work", [](Context& job) { return Json(job.job().payload); });
  const JobId usual = engine.enqueue("work").value();
  const Made none = enqueue_bound(kind(), engine, "work", {}, {});
  const Made named = enqueue_bound(kind(), engine, "work", {}, {.request_id = "r"});
  for (const JobId id : {none.id, named.id}) {
    expect_same_job(engine.job(id).value(), engine.job(usual).value());
  }
  Db db(kind());
  const std::string count = "SELECT COUNT(*) FROM carrel_jobs WHERE ";
  EXPECT_EQ(db.number(count + "wake_at IS NULL AND expires_at IS NULL"), 3);
  EXPECT_EQ(db.number(count + "request_id IS NULL"), 2);
  EXPECT_EQ(db.number(count + "payload IS NULL"), 0) << "an empty text is not NULL";
  if (db.is("sqlite3")) {
    EXPECT_EQ(db.number(count + "typeof(payload) = 'blob'"), 3);
  }
  ASSERT_TRUE(none.ticket);
  Ticket ticket = *none.ticket;
  ticket.id = none.id;
  engine.publish({&ticket, 1});
  EXPECT_EQ(engine.drain().value().completed, 3U);
  EXPECT_EQ(engine.wait(none.id, kLong).value(), "");
}

// A server of MariaDB sends no more in a row than half of what it takes.
TEST_P(Transaction, AStatementHasNoPayloadThatNoClaimCouldRead) {
  const Engine engine = ignited(config());
  const bool fits = kind().dialect != sql::Dialect::kMariadb;
  const auto made = sql::enqueue_statements(engine, kind().dialect, "work",
                                            std::string(9'000'000, 'x'));
  ASSERT_EQ(made.has_value(), fits);
  if (!fits) {
    EXPECT_EQ(made.error().code, Code::kTooLarge);
  }
  Engine worker = open(config());
  std::size_t bytes = 0;
  worker.handle("work", [&](Context& job) { bytes = job.job().payload.size(); });
  const std::string longest(6'800'000, 'x');
  enqueue_bound(kind(), engine, "work", longest, {});
  EXPECT_EQ(worker.drain().value().completed, 1U);
  EXPECT_EQ(bytes, longest.size() + 2);
}

TEST_P(Transaction, AStatementHasNoTextThatADatabaseCannotHold) {
  const Engine engine = ignited(config());
  const std::string nul("a\0b", 3);
  const auto code = [&](std::string_view job, const EnqueueOptions& options) {
    const auto made = sql::enqueue_statements(engine, kind().dialect, job, {}, options);
    return made ? std::optional<Code>() : made.error().code;
  };
  for (const std::string& bad : {nul, std::string("\xff"), std::string("\xed\xa0\x80")}) {
    EXPECT_EQ(code(bad, {}), Code::kInvalid);
    EXPECT_EQ(code("work", {.queue = bad}), Code::kInvalid);
    EXPECT_EQ(code("work", {.request_id = bad}), Code::kInvalid);
  }
  EXPECT_EQ(sql::enqueue_statements(engine, kind().dialect, "work", {{"a", "\xff"}})
                .error()
                .code,
            Code::kInvalid);
}

}  // namespace
}  // namespace carrel::test
