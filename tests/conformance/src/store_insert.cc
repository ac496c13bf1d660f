#include <gmock/gmock.h>

#include <set>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// Every byte value, NUL and invalid UTF-8 included.
std::string all_bytes() {
  std::string bytes;
  for (int b = 0; b < 256; ++b) bytes.push_back(static_cast<char>(b));
  return bytes + bytes;
}

void expect_refused(StoreCase& t, const NewJob& bad, const char* what) {
  auto answers = t.store().insert({&bad, 1}, kPatience);
  ASSERT_THAT(answers, SizeIs(1));
  ASSERT_FALSE(answers[0].has_value()) << what << " was stored";
  EXPECT_EQ(answers[0].error().code, Code::kInvalid) << what;
  EXPECT_FALSE(answers[0].error().message.empty()) << what;
}

void add_request_id_cases(StoreCases& cases) {
  cases.add("Insert_TheSameRequestIdTwiceIsOneJob", [](StoreCase& t) {
    NewJob first = t.job("1");
    first.request_id = "order-17";
    const JobId id = t.insert(first);
    NewJob second = t.job("2");
    second.request_id = "order-17";
    auto answers = t.store().insert({&second, 1}, kPatience);
    ASSERT_TRUE(answers[0].has_value()) << answers[0].error().message;
    EXPECT_TRUE(answers[0]->existed);
    EXPECT_EQ(answers[0]->id, id);
    EXPECT_EQ(t.record(id).payload, "1");
    EXPECT_THAT(t.peek(), SizeIs(1));
  });

  cases.add("Insert_TheSameRequestIdTwiceInOneCallIsOneJob", [](StoreCase& t) {
    std::vector<NewJob> jobs(3, t.job());
    jobs[0].request_id = jobs[2].request_id = "twin";
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(3));
    for (auto& a : answers) ASSERT_TRUE(a.has_value()) << a.error().message;
    EXPECT_FALSE(answers[0]->existed);
    EXPECT_FALSE(answers[1]->existed);
    EXPECT_TRUE(answers[2]->existed);
    EXPECT_EQ(answers[2]->id, answers[0]->id);
    EXPECT_THAT(t.peek(), SizeIs(2));
  });

  cases.add("Insert_ARequestIdIsKnownAlsoWhenItsJobIsFinal", [](StoreCase& t) {
    NewJob job = t.job();
    job.request_id = "once";
    const Claimed run = t.insert_and_claim(job);
    t.finish(run);
    auto again = t.store().insert({&job, 1}, kPatience);
    ASSERT_TRUE(again[0].has_value()) << again[0].error().message;
    EXPECT_TRUE(again[0]->existed);
    EXPECT_EQ(again[0]->id, run.lease.id);
    EXPECT_FALSE(again[0]->ticket.has_value()) << "a final job is not available";
    EXPECT_EQ(t.state(run.lease.id), State::kCompleted);
  });

  cases.add("Insert_EmptyRequestIdsAreNotTheSame", [](StoreCase& t) {
    const auto ids = t.insert_many(3);
    EXPECT_EQ(std::set<JobId>(ids.begin(), ids.end()).size(), 3U);
  });
}

void add_payload_cases(StoreCases& cases) {
  cases.add("Insert_APayloadIsAnyBytes", [](StoreCase& t) {
    const std::string bytes = all_bytes();
    const Claimed run = t.insert_and_claim(t.job(bytes));
    EXPECT_EQ(run.payload, bytes);
    EXPECT_EQ(t.record(run.lease.id).payload, bytes);
  });

  cases.add("Insert_AnEmptyPayloadStaysEmpty",
            [](StoreCase& t) { EXPECT_EQ(t.insert_and_claim(t.job("")).payload, ""); });

  cases.add("Insert_APayloadOfOneMebibyte", [](StoreCase& t) {
    if (t.traits().max_payload != 0 && t.traits().max_payload < (1U << 20)) {
      GTEST_SKIP() << "store's max_payload is " << t.traits().max_payload;
    }
    std::string big(1 << 20, 'x');
    big[12'345] = '\0';
    big.back() = static_cast<char>(0xff);
    EXPECT_TRUE(t.insert_and_claim(t.job(big)).payload == big);
  });

  cases.add("Insert_APayloadPastTheLimitIsTooLarge", [](StoreCase& t) {
    const auto limit = t.traits().max_payload;
    if (limit == 0) GTEST_SKIP() << "store has no max_payload";
    if (limit > (64U << 20)) GTEST_SKIP() << "store's max_payload is above 64 MiB";
    const NewJob jobs[] = {t.job(std::string(limit + 1, 'x')), t.job("small")};
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(2));
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kTooLarge);
    EXPECT_TRUE(answers[1].has_value());
  });

  cases.add("Insert_NamesMayBeUnicodeAnd128BytesLong", [](StoreCase& t) {
    NewJob job = t.job();
    job.queue = "grüße 'quoted\" \\ %_;--";
    job.kind = std::string(128, 'k');
    job.request_id = "naïve '; drop table jobs; --";
    const JobId id = t.insert(job);
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.queue, job.queue);
    EXPECT_EQ(r.kind, job.kind);
    EXPECT_EQ(r.request_id, job.request_id);
    EXPECT_THAT(ids_of(t.peek(10, {job.kind}, {job.queue})), ElementsAre(id));
  });
}

void add_schedule_cases(StoreCases& cases) {
  cases.add("Insert_AnAvailableJobComesWithItsTicket", [](StoreCase& t) {
    NewJob job = t.job();
    job.queue = "images";
    job.priority = -7;
    auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_TRUE(answers[0].has_value());
    ASSERT_TRUE(answers[0]->ticket.has_value());
    EXPECT_EQ(answers[0]->ticket->id, answers[0]->id);
    EXPECT_EQ(answers[0]->ticket->queue, "images");
    EXPECT_EQ(answers[0]->ticket->kind, "work");
    EXPECT_EQ(answers[0]->ticket->priority, -7);
  });

  cases.add("Insert_ADelayedJobIsScheduledAndHasNoTicket", [](StoreCase& t) {
    NewJob job = t.job();
    job.delay = 10s;
    auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_TRUE(answers[0].has_value());
    EXPECT_FALSE(answers[0]->ticket.has_value());
    const JobRecord r = t.record(answers[0]->id);
    EXPECT_EQ(r.state, State::kScheduled);
    EXPECT_GE(r.run_at - r.enqueued, 10s);
    EXPECT_LE(r.run_at - r.enqueued, 10s + t.slack());
    EXPECT_THAT(t.peek(), SizeIs(0));
  });

  cases.add("Insert_StartWithinCountsFromWhenItFallsDue", [](StoreCase& t) {
    NewJob job = t.job();
    job.delay = 10s;
    job.start_within = 5s;
    const JobRecord r = t.record(t.insert(job));
    ASSERT_TRUE(r.expires.has_value());
    EXPECT_EQ(*r.expires - r.run_at, 5s);
    EXPECT_FALSE(t.record(t.insert(t.job())).expires.has_value());
  });

  cases.add("Insert_KeepsEveryFieldForTheRun", [](StoreCase& t) {
    NewJob job = t.job("[1]");
    job.queue = "q2";
    job.priority = 32'767;
    job.max_attempts = 65'535;
    job.timeout = 1'234'567us;
    const JobId id = t.insert(job);
    auto answers =
        must(t.store().claim(std::vector{t.ticket(id, "q2")}, kWorker, 1, kLease));
    ASSERT_TRUE(answers.at(0).has_value());
    const Claimed& run = *answers[0];
    EXPECT_EQ(run.lease.id, id);
    EXPECT_EQ(run.queue, "q2");
    EXPECT_EQ(run.kind, "work");
    EXPECT_EQ(run.payload, "[1]");
    EXPECT_EQ(run.priority, 32'767);
    EXPECT_EQ(run.max_attempts, 65'535);
    EXPECT_EQ(run.timeout, 1'234'567us);
    EXPECT_EQ(run.attempt, 1);
    EXPECT_EQ(run.crashes, 0);
    EXPECT_EQ(run.checkpoint, "");
  });
}

void add_refusal_cases(StoreCases& cases) {
  cases.add("Insert_RefusesNamesThatCannotBe", [](StoreCase& t) {
    NewJob bad = t.job();
    bad.kind = "";
    expect_refused(t, bad, "an empty kind");
    bad.kind = std::string(129, 'k');
    expect_refused(t, bad, "a kind of 129 bytes");
    bad.kind = "two\nlines";
    expect_refused(t, bad, "a kind with a newline");
    bad = t.job();
    bad.queue = "";
    expect_refused(t, bad, "an empty queue");
    bad.queue = std::string("a\0b", 3);
    expect_refused(t, bad, "a queue with a NUL");
    bad = t.job();
    bad.max_attempts = 0;
    expect_refused(t, bad, "no attempt at all");
    EXPECT_THAT(t.peek(), SizeIs(0));
  });

  cases.add("Insert_OneBadRowDoesNotFailTheOthers", [](StoreCase& t) {
    std::vector<NewJob> jobs(3, t.job());
    jobs[1].kind = "";
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(3));
    EXPECT_TRUE(answers[0].has_value());
    ASSERT_FALSE(answers[1].has_value());
    EXPECT_EQ(answers[1].error().code, Code::kInvalid);
    EXPECT_TRUE(answers[2].has_value());
    EXPECT_THAT(t.peek(), SizeIs(2));
  });

  cases.add("Insert_AnEmptySpanIsNothing", [](StoreCase& t) {
    EXPECT_THAT(t.store().insert({}, kPatience), SizeIs(0));
    EXPECT_THAT(t.peek(), SizeIs(0));
  });
}

void add_id_cases(StoreCases& cases) {
  cases.add("Invariant1_AJobExistsExactlyWhenItWasAnswered", [](StoreCase& t) {
    const auto ids = t.insert_many(20);
    std::vector<JobId> listed;
    for (const auto& r : must(t.store().monitor().list({}, JobId{}, 100))) {
      listed.push_back(r.id);
    }
    std::vector<JobId> newest_first(ids.rbegin(), ids.rend());
    EXPECT_EQ(listed, newest_first);
  });

  cases.add("Insert_MoreRowsThanABatchKeepTheirOrder", [](StoreCase& t) {
    const std::size_t n = std::min<std::size_t>(t.traits().max_batch + 3, 5'000);
    std::vector<NewJob> jobs(n, t.job());
    for (std::size_t i = 0; i < n; ++i) jobs[i].payload = std::to_string(i);
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(n));
    std::set<JobId> distinct;
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(answers[i].has_value()) << i << ": " << answers[i].error().message;
      EXPECT_GT(value(answers[i]->id), 0U);
      distinct.insert(answers[i]->id);
    }
    EXPECT_THAT(distinct, SizeIs(n));
    EXPECT_EQ(t.record(answers[n - 1]->id).payload, std::to_string(n - 1));
    EXPECT_EQ(t.record(answers[n / 2]->id).payload, std::to_string(n / 2));
  });

  cases.add("Insert_IdsAboveTwoToThe31AreNotCut", [](StoreCase& t) {
    if (!t.harness().skip_ids) GTEST_SKIP() << "harness has no skip_ids";
    constexpr JobId kBig{(std::uint64_t{1} << 40) + 7};
    must(t.harness().skip_ids(kBig));
    const Claimed run = t.insert_and_claim(t.job("big"));
    ASSERT_GE(run.lease.id, kBig);
    EXPECT_EQ(run.payload, "big");
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kAlive);
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kApplied);
    EXPECT_THAT(must(t.store().await_final(std::vector{run.lease.id}, 0us)),
                ElementsAre(run.lease.id));
    EXPECT_EQ(t.cancel(run.lease.id), Cancelled::kAlreadyFinal);
    const JobId id = t.insert(t.job());
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(id));
  });

  cases.add("Insert_AnIdIsNotMistakenForItsLow32Bits", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    const JobId alias{value(id) + (std::uint64_t{1} << 32)};
    const auto answer = t.claim_answer(alias);
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error(), Refusal::kGone);
    EXPECT_EQ(t.cancel(alias), Cancelled::kNotFound);
    EXPECT_TRUE(t.gone(alias));
    EXPECT_EQ(t.state(id), State::kAvailable);
  });
}

}  // namespace

void add_insert_cases(StoreCases& cases) {
  add_id_cases(cases);
  add_request_id_cases(cases);
  add_payload_cases(cases);
  add_schedule_cases(cases);
  add_refusal_cases(cases);
}

}  // namespace carrel::conformance
