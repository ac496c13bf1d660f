#include <gmock/gmock.h>

#include <random>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<JobId> list(StoreCase& t, const Filter& filter, JobId before = {},
                        std::size_t limit = 1'000) {
  std::vector<JobId> ids;
  for (const JobRecord& r : must(t.store().monitor().list(filter, before, limit))) {
    ids.push_back(r.id);
  }
  return ids;
}

// Jobs in every state that a job can enter, over three queues and two kinds.
void fill(StoreCase& t, unsigned seed) {
  std::mt19937 random(seed);
  for (int i = 0; i < 120; ++i) {
    NewJob job = t.job();
    job.queue = "q" + std::to_string(random() % 3);
    job.kind = random() % 2 != 0 ? "even" : "odd";
    if (random() % 6 == 0) job.delay = 1h;
    const JobId id = t.insert(job);
    t.advance(1ms);
    if (job.delay > 0us || random() % 4 == 0) continue;
    if (random() % 9 == 0) {
      t.cancel(id);
      continue;
    }
    const Claimed run = t.claim(id);
    constexpr Verdict kVerdicts[] = {Verdict::kCompleted,  Verdict::kRetry,
                                     Verdict::kDiscarded,  Verdict::kCancelled,
                                     Verdict::kSnoozed,    Verdict::kReleased,
                                     Verdict::kInterrupted};
    const auto pick = random() % 8;
    if (pick < 7) t.finish(run, kVerdicts[pick], 1h);
  }
}

// Every row, by keyset pages of 7.
std::vector<JobRecord> all_rows(StoreCase& t) {
  std::vector<JobRecord> rows;
  JobId before{};
  for (;;) {
    auto page = must(t.store().monitor().list({}, before, 7));
    if (page.empty()) return rows;
    before = page.back().id;
    std::move(page.begin(), page.end(), std::back_inserter(rows));
    if (rows.size() > 10'000) {
      ADD_FAILURE() << "paging never ends";
      return rows;
    }
  }
}

void add_list_cases(StoreCases& cases) {
  cases.add("Monitor_AJobThatIsNotThereIsNotFound", [](StoreCase& t) {
    const auto record = t.store().monitor().job(JobId{4'711});
    ASSERT_FALSE(record.has_value());
    EXPECT_EQ(record.error().code, Code::kNotFound);
    EXPECT_NE(record.error().message.find("4711"), std::string::npos)
        << "the message names the job: " << record.error().message;
    EXPECT_FALSE(t.store().monitor().job(JobId{0}).has_value());
  });

  // Neither a claim nor a list has gigabytes in its hands.
  cases.add("Monitor_LongJobsAreClaimedAndListedWhole", [](StoreCase& t) {
    std::size_t size = 6U << 20;
    if (t.traits().max_payload != 0) size = std::min(size, t.traits().max_payload);
    constexpr int kJobs = 5;
    const auto bytes = [&](JobId id, char what) {
      std::string content(size, what);
      return content.replace(0, 20, std::to_string(value(id)));
    };
    std::vector<JobId> ids;
    for (int i = 0; i < kJobs; ++i) {
      ids.push_back(t.insert(t.job(std::string(size, char('a' + i)))));
    }
    for (const ClaimAnswer& run : must(t.try_claim(ids))) {
      ASSERT_TRUE(run.has_value());
      Finish end = t.finish_of(run->lease, Verdict::kRetry);
      end.checkpoint = bytes(run->lease.id, 'c');
      t.finish(end);
    }
    t.sweep_all();
    const auto runs = must(t.try_claim(ids));
    for (int i = 0; i < kJobs; ++i) {
      ASSERT_TRUE(runs[i].has_value());
      EXPECT_TRUE(runs[i]->payload == std::string(size, char('a' + i)));
      EXPECT_TRUE(runs[i]->checkpoint == bytes(ids[i], 'c'));
    }

    const std::size_t fit =
        std::min<std::size_t>(kJobs, (kMaxListBytes + 2 * size - 1) / (2 * size));
    const auto page = must(t.store().monitor().list({}, {}, kJobs));
    ASSERT_EQ(page.size(), fit);
    for (const JobRecord& job : page) {
      EXPECT_EQ(job.payload.size(), size);
      EXPECT_TRUE(job.checkpoint == bytes(job.id, 'c'));
    }
    EXPECT_EQ(all_rows(t).size(), std::size_t{kJobs});
  });

  cases.add("Monitor_AListEndsByWhatItsAttemptsSay", [](StoreCase& t) {
    constexpr int kJobs = 5;
    constexpr int kAttempts = 5;
    std::size_t size = 1U << 20;
    if (t.traits().max_payload != 0) size = std::min(size, t.traits().max_payload);
    std::vector<JobId> ids;
    for (int i = 0; i < kJobs; ++i) ids.push_back(t.insert(t.job()));
    for (int n = 0; n < kAttempts; ++n) {
      for (const ClaimAnswer& run : must(t.try_claim(ids))) {
        ASSERT_TRUE(run.has_value());
        Finish end = t.finish_of(run->lease, Verdict::kRetry);
        Attempt& attempt = end.attempt.emplace();
        attempt.message = std::string(size / 2, 'm');
        attempt.stderr_tail = std::string(size / 2, 'e');
        t.finish(end);
      }
      t.sweep_all();
    }
    const std::size_t each = kAttempts * (size + kAttemptBytes);
    const std::size_t fit =
        std::min<std::size_t>(kJobs, (kMaxListBytes + each - 1) / each);
    const auto page = must(t.store().monitor().list({}, {}, kJobs));
    ASSERT_EQ(page.size(), fit);
    for (const JobRecord& job : page) {
      ASSERT_EQ(job.attempts.size(), std::size_t{kAttempts});
      EXPECT_TRUE(job.attempts[0].stderr_tail == std::string(size / 2, 'e'));
    }
    EXPECT_EQ(all_rows(t).size(), std::size_t{kJobs});
  });

  cases.add("Monitor_AListPagesByKeysetNewestFirst", [](StoreCase& t) {
    auto ids = t.insert_many(25);
    std::reverse(ids.begin(), ids.end());
    EXPECT_THAT(list(t, {}), ElementsAreArray(ids));
    EXPECT_THAT(list(t, {}, {}, 2), ElementsAre(ids[0], ids[1]));
    EXPECT_THAT(list(t, {}, ids[1], 2), ElementsAre(ids[2], ids[3]));
    EXPECT_THAT(list(t, {}, ids.back()), IsEmpty());
    EXPECT_THAT(list(t, {}, {}, 0), IsEmpty());
    std::vector<JobId> paged;
    for (const JobRecord& r : all_rows(t)) paged.push_back(r.id);
    EXPECT_THAT(paged, ElementsAreArray(ids));
  });

  cases.add("Monitor_AListFilters", [](StoreCase& t) {
    const JobId old = t.insert(t.job());
    t.advance(10s);
    NewJob job = t.job();
    job.queue = "images";
    job.kind = "resize";
    const JobId image = t.insert(job);
    const Claimed run = t.insert_and_claim();
    t.finish(run);
    Filter filter;
    filter.queue = "images";
    EXPECT_THAT(list(t, filter), ElementsAre(image));
    filter = {};
    filter.kind = "work";
    EXPECT_THAT(list(t, filter), ElementsAre(run.lease.id, old));
    filter.states = {State::kCompleted, State::kRunning};
    EXPECT_THAT(list(t, filter), ElementsAre(run.lease.id));
    filter = {};
    filter.states = {State::kAvailable};
    EXPECT_THAT(list(t, filter), ElementsAre(image, old));
    if (t.slack() == 0us) {
      filter.older_than = 10s;
      EXPECT_THAT(list(t, filter), ElementsAre(old));
    }
    filter = {};
    filter.queue = "' or 1=1 --";
    EXPECT_THAT(list(t, filter), IsEmpty());
  });

  cases.add("Monitor_ARecordTellsWhatWasEnqueued", [](StoreCase& t) {
    NewJob job = t.job(R"({"a":1})");
    job.request_id = "r-1";
    job.priority = -5;
    job.max_attempts = 9;
    job.timeout = 7s;
    job.start_within = 1h;
    const JobId id = t.insert(job);
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.id, id);
    EXPECT_EQ(r.state, State::kAvailable);
    EXPECT_EQ(r.queue, "default");
    EXPECT_EQ(r.kind, "work");
    EXPECT_EQ(r.payload, job.payload);
    EXPECT_EQ(r.request_id, "r-1");
    EXPECT_EQ(r.priority, -5);
    EXPECT_EQ(r.max_attempts, 9);
    EXPECT_EQ(r.attempt, 0);
    EXPECT_EQ(r.timeout, 7s);
    EXPECT_EQ(r.run_at, r.enqueued);
    EXPECT_FALSE(r.cancel_requested);
    EXPECT_FALSE(r.progress.has_value());
    EXPECT_FALSE(r.ended.has_value());
    EXPECT_THAT(r.attempts, IsEmpty());
  });
}

void add_count_cases(StoreCases& cases) {
  cases.add("Invariant9_CountsEqualARecountOfTheRows", [](StoreCase& t) {
    fill(t, 20'240'101);
    Counts recount;
    std::optional<Time> oldest;
    for (const JobRecord& r : all_rows(t)) {
      const auto s = static_cast<std::size_t>(r.state);
      ++recount.by_queue[r.queue][s];
      ++recount.total[s];
      if (r.state != State::kAvailable) continue;
      ++recount.available_by_kind[r.kind];
      if (!oldest || r.run_at < *oldest) oldest = r.run_at;
    }
    const Counts counts = must(t.store().monitor().counts());
    EXPECT_EQ(counts.total, recount.total);
    EXPECT_EQ(counts.available_by_kind, recount.available_by_kind);
    for (const auto& [queue, states] : recount.by_queue) {
      const auto found = counts.by_queue.find(queue);
      ASSERT_NE(found, counts.by_queue.end()) << queue;
      EXPECT_EQ(found->second, states) << queue;
    }
    for (std::size_t s = 1; s < kStateCount; ++s) {
      EXPECT_GT(recount.total[s], 0U) << "the case should reach state " << s;
    }
    ASSERT_TRUE(counts.oldest_available.has_value());
  });

  cases.add("Monitor_OldestAvailableIsHowLongADueJobHasWaited", [](StoreCase& t) {
    EXPECT_FALSE(must(t.store().monitor().counts()).oldest_available.has_value());
    const JobId first = t.insert(t.job());
    t.advance(5s);
    t.insert(t.job());
    t.advance(2s);
    auto oldest = must(t.store().monitor().counts()).oldest_available;
    ASSERT_TRUE(oldest.has_value());
    EXPECT_GE(*oldest, 7s);
    EXPECT_LE(*oldest, 7s + t.slack());
    t.claim(first);
    oldest = must(t.store().monitor().counts()).oldest_available;
    ASSERT_TRUE(oldest.has_value());
    EXPECT_GE(*oldest, 2s);
    EXPECT_LE(*oldest, 2s + t.slack());
  });

  cases.add("Monitor_AnEmptyStoreCountsNothing", [](StoreCase& t) {
    const Counts counts = must(t.store().monitor().counts());
    for (const auto n : counts.total) EXPECT_EQ(n, 0U);
    EXPECT_THAT(counts.available_by_kind, IsEmpty());
    EXPECT_THAT(must(t.store().monitor().paused()), IsEmpty());
  });
}

}  // namespace

void add_monitor_cases(StoreCases& cases) {
  add_list_cases(cases);
  add_count_cases(cases);
}

}  // namespace carrel::conformance
