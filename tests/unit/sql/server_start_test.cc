// Jobs that are claimed in the transaction that brings them, for a claim that waits.
#include <carrel/store.h>

#include <array>
#include <future>
#include <memory>

#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Hears nothing of others, and does not look for what they did.
BackendOptions deaf() {
  BackendOptions options;
  options.poll = 1h;
  return options;
}
std::string deaf_options(const Kind& kind) {
  return is_postgresql(kind) ? "?listen=off" : "";
}

// A claim of one job, on a thread of its own. That it waits nobody is told: it has had
// some time to get there.
class Waiting {
 public:
  explicit Waiting(Store& store, std::uint64_t number = 1, Demand demand = {{}, kWork, 1})
      : source_(store.claim_source()),
        answer_(std::async(std::launch::async, [this, number, demand] {
          return source_->claim(demand, "waits", number, 30s, 1h);
        })) {
    answer_.wait_for(20ms);
  }
  ~Waiting() { source_->interrupt(); }

  void interrupt() { source_->interrupt(); }
  Result<std::vector<Claimed>> answer() { return answer_.get(); }
  std::vector<JobId> jobs() {
    std::vector<JobId> ids;
    const auto runs = answer();
    EXPECT_TRUE(runs) << runs.error().message;
    if (!runs) return ids;
    for (const Claimed& run : *runs) ids.push_back(run.lease.id);
    return ids;
  }

 private:
  std::unique_ptr<ClaimSource> source_;
  std::future<Result<std::vector<Claimed>>> answer_;
};

TEST_P(Server, AJobStartsInTheTransactionThatBringsItForAClaimThatWaits) {
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port(), deaf_options(kind())), deaf());
  ASSERT_TRUE(store);
  ASSERT_TRUE(insert(*store)) << "connects";
  ASSERT_THAT(claim(*store, 1), SizeIs(1));
  int fewest = 1000;
  for (std::uint64_t i = 0; i < 20 && fewest > 1; ++i) {
    Waiting waiting(*store, 1 + i);
    const int before = proxy.sent();
    const auto job = insert(*store);
    ASSERT_TRUE(job) << job.error().message;
    EXPECT_THAT(waiting.jobs(), ElementsAre(job->id));
    fewest = std::min(fewest, proxy.sent() - before);
  }
  EXPECT_EQ(fewest, 1) << "the claim asks nothing";
}

// Finds nothing else: the next start looks only whether there is anything, and what it is
// only if there is.
void start_one(Store& store, const NewJob& job, std::uint64_t claim_number) {
  Waiting waiting(store, claim_number);
  ASSERT_TRUE(store.insert({&job, 1}, 60s).at(0));
  const auto runs = waiting.answer();
  ASSERT_TRUE(runs) << runs.error().message;
  ASSERT_THAT(*runs, SizeIs(1));
  Finish finish;
  finish.lease = runs->at(0).lease;
  ASSERT_TRUE(store.finish({&finish, 1}).at(0));
}

// Of what others did this store has not heard.
TEST_P(Server, NoJobOfAPausedQueueStartsAtOnce) {
  auto beside = open(url());
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(beside && store);
  start_one(*store, job(), ++claims_);
  ASSERT_TRUE(beside->set_paused("default", true));
  Waiting waiting(*store, ++claims_);
  const auto job = insert(*store);
  ASSERT_TRUE(job) << job.error().message;
  waiting.interrupt();
  EXPECT_THAT(waiting.jobs(), IsEmpty());
  const auto record = store->monitor().job(job->id);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->state, State::kAvailable);
}

TEST_P(Server, NoJobStartsAtOnceBesideABetterOne) {
  auto beside = open(url());
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(beside && store);
  const std::vector<std::string> queues = {"first", "default"};
  const auto meet = [&](NewJob better, const Demand& demand) {
    start_one(*store, job(), ++claims_);
    ++claims_;
    Waiting waiting(*store, claims_, demand);
    better.priority = -1;
    const auto first = insert(*beside, better);
    EXPECT_TRUE(first) << first.error().message;
    const auto second = insert(*store);
    EXPECT_TRUE(second) << second.error().message;
    const std::vector<JobId> got = waiting.jobs();
    const auto rest = claim(*store, 9);
    EXPECT_THAT(rest, SizeIs(1));
    const auto record = store->monitor().job(second->id);
    EXPECT_TRUE(record) << record.error().message;
    EXPECT_NE(record->started, record->enqueued) << "it is another claim's";
    EXPECT_TRUE(store->finish(finishes(rest)).at(0));
    return got.size() == 1 && got[0] == first->id;
  };
  EXPECT_TRUE(meet(job(), {{}, kWork, 1}));
  NewJob better = job();
  better.queue = "first";
  EXPECT_TRUE(meet(better, {queues, kWork, 1, true}));
  better = job();
  better.limit = Limit{"key", 1};
  meet(better, {{}, kWork, 1});
  better.limit.reset();
  better.rate = Rate{"key", 5, 1h};
  meet(better, {{}, kWork, 1});
}

// Jobs of others' kinds and queues may be available, but not in so many lanes that to
// look at all of them would take longer than to claim.
TEST_P(Server, AJobStartsBesideWhatNobodyHereWants) {
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(store);
  const auto bring = [&](int from, int to) {
    std::vector<NewJob> jobs;
    for (int i = from; i < to; ++i) {
      jobs.push_back(job());
      (i % 2 == 0 ? jobs.back().queue : jobs.back().kind) = "of-" + std::to_string(i);
    }
    insert_all(*store, jobs);
  };
  const std::vector<std::string> queue = {"default"};
  const auto starts_at_once = [&] {
    ++claims_;
    Waiting waiting(*store, claims_, {queue, kWork, 1});
    const auto job = insert(*store);
    EXPECT_TRUE(job) << job.error().message;
    EXPECT_THAT(waiting.jobs(), ElementsAre(job->id));
    const auto record = store->monitor().job(job->id);
    EXPECT_TRUE(record) << record.error().message;
    return record->started == record->enqueued;
  };
  bring(0, 60);
  bool once = false;
  for (int i = 0; i < 20 && !once; ++i) once = starts_at_once();
  EXPECT_TRUE(once);
  bring(60, 70);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(starts_at_once());
}

// Whether it was stored is not known, and so not whether it was claimed.
TEST_P(Server, WhereTheAnswerIsLostTheClaimThatWaitedIsLostToo) {
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port(), deaf_options(kind())), deaf());
  auto beside = open(url());
  ASSERT_TRUE(store && beside);
  ASSERT_TRUE(insert(*store));
  ASSERT_THAT(claim(*store, 1), SizeIs(1));
  const std::string running =
      "SELECT count(*) FROM carrel_jobs WHERE state = 3 AND worker = 'waits'";
  for (std::uint64_t i = 1; i <= 4; ++i) {  // the statements that it takes are known
    Waiting waiting(*store, i);
    ASSERT_TRUE(insert(*store));
    ASSERT_THAT(waiting.jobs(), SizeIs(1));
  }
  ASSERT_TRUE(beside->beat("waits", 4, {}, false, 30s));
  ASSERT_THAT(claim(*beside, 9), SizeIs(4));
  Waiting waiting(*store, 5);
  proxy.hold_answers();
  auto brings = std::async(std::launch::async, [&] { return insert(*store); });
  const auto until = SteadyClock::now() + 60s;
  const auto looker = kind().session();  // one for all looks
  int count = 0;
  while (count == 0 && SteadyClock::now() < until) *looker << running, soci::into(count);
  EXPECT_EQ(count, 1);
  proxy.cut();
  proxy.let_go();
  EXPECT_FALSE(brings.get());
  const auto answer = waiting.answer();
  ASSERT_FALSE(answer) << "it has " << answer->size();
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  ASSERT_TRUE(beside->beat("waits", 5, {}, false, 30s));
  EXPECT_EQ(kind().run(running).at(0), "0");
  EXPECT_THAT(claim(*beside, 9), SizeIs(1));
}

// No row comes running.
void refuse_starts(const Kind& kind) {
  if (is_postgresql(kind)) {
    kind.run(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS"
        " $$ BEGIN RAISE 'not today'; END $$ LANGUAGE plpgsql");
    kind.run(
        "CREATE TRIGGER no_start BEFORE INSERT ON carrel_jobs FOR EACH ROW"
        " WHEN (NEW.state = 3) EXECUTE FUNCTION refuse()");
  } else {
    kind.run(
        "CREATE TRIGGER no_start BEFORE INSERT ON carrel_jobs FOR EACH ROW"
        " IF NEW.state = 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today';"
        " END IF");
  }
}

TEST_P(Server, WhereAJobCannotStartItIsBroughtAllTheSame) {
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(store);
  refuse_starts(kind());
  bool failed = false;
  for (std::uint64_t i = 1; i <= 20 && !failed; ++i) {
    Waiting waiting(*store, i);
    const auto job = insert(*store);
    ASSERT_TRUE(job) << job.error().message;
    const auto runs = waiting.answer();
    failed = !runs;
    EXPECT_EQ(store->monitor().job(job->id)->state,
              failed ? State::kAvailable : State::kRunning);
    if (!failed) continue;
    EXPECT_THAT(runs.error().message, testing::HasSubstr("not today"));
  }
  EXPECT_TRUE(failed) << "none was to start at once";
  EXPECT_THAT(claim(*store, 9), SizeIs(1));
}

// Of those that wait, one was lent.
TEST_P(Server, WhereAJobCannotStartOneClaimFails) {
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(store);
  refuse_starts(kind());
  int failed = 0;
  for (std::uint64_t i = 1; i <= 20 && failed == 0; ++i) {
    std::array<std::unique_ptr<Waiting>, 3> all;
    for (auto& each : all) each = std::make_unique<Waiting>(*store, ++claims_);
    ASSERT_TRUE(insert(*store));
    int others = 0;
    for (auto& each : all) each->interrupt();
    for (auto& each : all) {
      const auto answer = each->answer();
      failed += answer ? 0 : 1;
      others += answer && !answer->empty() ? 1 : 0;
    }
    EXPECT_LE(failed, 1);
    EXPECT_LE(others, 1) << "it is one job";
    claim(*store, 9);
  }
  EXPECT_EQ(failed, 1);
}

TEST_P(Server, WhatStartedAtOnceEndsLikeAnyOther) {
  auto store = open(url(deaf_options(kind())), deaf());
  ASSERT_TRUE(store);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    Waiting waiting(*store, i);
    ASSERT_TRUE(insert(*store, job("[" + std::to_string(i) + "]")));
    const auto runs = waiting.answer();
    ASSERT_TRUE(runs && runs->size() == 1);
    EXPECT_EQ(runs->at(0).payload, "[" + std::to_string(i) + "]");
    const auto finish = finishes(*runs);
    const auto ended = std::move(store->finish(finish).at(0));
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(ended->kind, Finished::Kind::kApplied);
    const auto record = store->monitor().job(runs->at(0).lease.id);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->state, State::kCompleted);
    EXPECT_GE(record->ended, record->started);
  }
}

}  // namespace
}  // namespace carrel::test
