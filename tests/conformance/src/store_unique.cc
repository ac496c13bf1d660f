// Unique keys: what an enqueue meets, what becomes of it, and that many at once are as
// one after the other.
#include <gmock/gmock.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<State> kNotFinal = {State::kPending, State::kScheduled,
                                      State::kAvailable, State::kRunning,
                                      State::kRetryable};

std::vector<State> and_completed() {
  std::vector<State> states = kNotFinal;
  states.push_back(State::kCompleted);
  return states;
}

NewJob keyed(std::string key, OnConflict on_conflict = OnConflict::kSkip,
             std::string payload = "{}") {
  NewJob job = StoreCase::job(std::move(payload));
  job.unique = Unique{std::move(key), Duration{0}, kNotFinal, on_conflict};
  return job;
}

NewJob within(Duration period, std::vector<State> states = and_completed()) {
  NewJob job = keyed("k");
  job.unique->period = period;
  job.unique->states = std::move(states);
  return job;
}

Inserted insert(StoreCase& t, const NewJob& job) {
  return must(t.store().insert({&job, 1}, kPatience).at(0));
}

void expect_new(StoreCase& t, const NewJob& job, const char* what) {
  EXPECT_FALSE(insert(t, job).existed) << what;
}
void expect_met(StoreCase& t, const NewJob& job, JobId id, const char* what) {
  const Inserted met = insert(t, job);
  EXPECT_TRUE(met.existed) << what;
  EXPECT_EQ(met.id, id) << what;
  EXPECT_FALSE(met.replaced) << what;
}

using Add = std::function<void(const char*, StoreCases::Body)>;

void add_skip_cases(const Add& add) {
  add("Unique_TheSecondIsNotAddedAndIsTold", [](StoreCase& t) {
    const Inserted first = insert(t, keyed("k", OnConflict::kSkip, "1"));
    EXPECT_FALSE(first.existed);
    const Inserted second = insert(t, keyed("k", OnConflict::kSkip, "2"));
    EXPECT_TRUE(second.existed);
    EXPECT_FALSE(second.replaced);
    EXPECT_EQ(second.id, first.id);
    ASSERT_TRUE(second.ticket.has_value());
    EXPECT_EQ(second.ticket->id, first.id);
    EXPECT_EQ(t.record(first.id).payload, "1");
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(first.id));
  });

  add("Unique_OtherKeysAndNoneAreNotTheSame", [](StoreCase& t) {
    expect_new(t, keyed("a"), "the first");
    expect_new(t, keyed("b"), "another key");
    expect_new(t, keyed("A"), "case counts");
    expect_new(t, keyed("a "), "so do blanks at the end");
    expect_new(t, t.job(), "no key");
    expect_new(t, t.job(), "no key again");
  });

  add("Unique_TwiceInOneCallIsOneJob", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {keyed("a"), t.job(), keyed("b"), keyed("a"),
                                      keyed("a")};
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(5));
    for (auto& a : answers) ASSERT_TRUE(a.has_value()) << a.error().message;
    for (const std::size_t fresh : {0, 1, 2}) EXPECT_FALSE(answers[fresh]->existed);
    for (const std::size_t twin : {3, 4}) {
      EXPECT_TRUE(answers[twin]->existed);
      EXPECT_EQ(answers[twin]->id, answers[0]->id);
    }
    EXPECT_THAT(t.peek(), SizeIs(3));
  });

  add("Unique_TheKeyIsFreeWhenTheJobIsInNoneOfTheStates", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    expect_met(t, keyed("k"), run.lease.id, "it runs");
    t.finish(run);
    const Inserted next = insert(t, keyed("k"));
    EXPECT_FALSE(next.existed);
    EXPECT_NE(next.id, run.lease.id);
    expect_met(t, keyed("k"), next.id, "the next one holds the key");
  });

  add("Unique_AJobThatIsToBeTriedAgainStillCounts", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    t.finish(run, Verdict::kRetry, 1h);
    expect_met(t, keyed("k"), run.lease.id, "retryable");
    t.advance(1h);
    t.sweep_all();
    const Claimed again = t.claim(run.lease.id);
    t.finish(again, Verdict::kSnoozed, 1h);
    expect_met(t, keyed("k"), run.lease.id, "scheduled");
  });

  add("Unique_CancelledAndDiscardedJobsLetTheirKeyGo", [](StoreCase& t) {
    const JobId first = t.insert(keyed("k"));
    t.cancel(first);
    const Claimed second = t.insert_and_claim(keyed("k"));
    EXPECT_NE(second.lease.id, first);
    t.finish(second, Verdict::kDiscarded);
    expect_new(t, keyed("k"), "the second was discarded");
  });

  add("Unique_TheStatesAreThoseThatTheEnqueueNames", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    NewJob waiting = keyed("k");
    waiting.unique->states = {State::kScheduled, State::kAvailable};
    const Inserted next = insert(t, waiting);
    EXPECT_FALSE(next.existed) << "the first runs already";
    expect_met(t, waiting, next.id, "the second waits");
    t.finish(run);
    expect_met(t, waiting, next.id, "the end of the first is not the second's concern");
    NewJob discarded = keyed("k");
    discarded.unique->states = {State::kDiscarded};
    t.finish(t.claim(next.id), Verdict::kDiscarded);
    expect_met(t, discarded, next.id, "it is discarded");
    t.store().retry({&next.id, 1});
    expect_met(t, keyed("k"), next.id, "it waits again");
  });

  add("Unique_AnOperatorsRetryIsNotRefused", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    t.finish(run, Verdict::kDiscarded);
    const JobId holder = t.insert(keyed("k"));
    ASSERT_TRUE(t.store().retry({&run.lease.id, 1}).at(0).has_value());
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable);
    expect_met(t, keyed("k"), holder, "the key is the last one's");
  });

  add("Unique_ARequestIdIsLookedForFirst", [](StoreCase& t) {
    NewJob job = keyed("k");
    job.request_id = "r";
    const Claimed run = t.insert_and_claim(job);
    t.finish(run);
    expect_met(t, job, run.lease.id, "the same request, though its key is free");
  });

  add("Unique_ARequestThatMetAJobAsksAgain", [](StoreCase& t) {
    const Claimed holder = t.insert_and_claim(keyed("k"));
    NewJob job = keyed("k");
    job.request_id = "r";
    const std::vector<NewJob> twins(2, job);
    for (auto& answer : t.store().insert(twins, kPatience)) {
      EXPECT_EQ(must(std::move(answer)).id, holder.lease.id);
    }
    t.finish(holder);
    const Inserted own = insert(t, job);
    EXPECT_FALSE(own.existed);
    EXPECT_EQ(t.record(own.id).request_id, "r");
    expect_met(t, job, own.id, "from now on it is known");
  });

  add("Unique_IsShownOfTheJobThatHoldsTheKey", [](StoreCase& t) {
    const Claimed first = t.insert_and_claim(keyed("[\"sync\",{\"user\":9}]"));
    EXPECT_EQ(t.record(first.lease.id).unique_key, "[\"sync\",{\"user\":9}]");
    t.finish(first);
    const JobId second = t.insert(keyed("[\"sync\",{\"user\":9}]"));
    EXPECT_EQ(t.record(second).unique_key, "[\"sync\",{\"user\":9}]");
    EXPECT_EQ(t.record(first.lease.id).unique_key, "") << "it holds it no more";
    EXPECT_EQ(t.record(t.insert(t.job())).unique_key, "");
  });

  add("Unique_ABadOneIsRefusedAlone", [](StoreCase& t) {
    std::vector<NewJob> jobs = {keyed(""), keyed(std::string(257, 'x')), keyed("k"),
                                keyed("k"), keyed("k")};
    jobs[2].unique->states.clear();
    jobs[3].unique->period = -1us;
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(5));
    for (const std::size_t bad : {0, 1, 2, 3}) {
      ASSERT_FALSE(answers[bad].has_value()) << bad;
      EXPECT_EQ(answers[bad].error().code, Code::kInvalid) << bad;
      EXPECT_FALSE(answers[bad].error().message.empty());
    }
    ASSERT_TRUE(answers[4].has_value());
    EXPECT_FALSE(answers[4]->existed);
  });

  add("Unique_AKeyOf256BytesIsCompared", [](StoreCase& t) {
    const std::string long_one(255, 'k');
    const JobId id = t.insert(keyed(long_one + "1"));
    expect_new(t, keyed(long_one + "2"), "the last byte differs");
    expect_met(t, keyed(long_one + "1"), id, "it does not");
  });
}

void add_period_cases(const Add& add) {
  add("Unique_APeriodCountsFromTheEnqueueOfTheHolder", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.advance(30min);
    expect_met(t, within(1h), run.lease.id, "completed half an hour ago");
    t.advance(31min);
    const Inserted next = insert(t, within(1h));
    EXPECT_FALSE(next.existed);
    expect_met(t, within(1h), next.id, "the period began anew");
  });

  add("Unique_APeriodEndsAlsoForAJobThatWaits", [](StoreCase& t) {
    const JobId first = t.insert(within(1h));
    expect_met(t, within(1h), first, "it waits");
    t.advance(61min);
    expect_new(t, within(1h), "it waits still, but is out of the period");
  });

  add("Unique_WithoutAPeriodAsLongAsTheJobIsKept", [](StoreCase& t) {
    t.options().retention.completed = 1h;
    t.create_again();
    NewJob job = keyed("k");
    job.unique->states = and_completed();
    const Claimed run = t.insert_and_claim(job);
    t.finish(run);
    t.advance(30min);
    expect_met(t, job, run.lease.id, "it is kept");
    t.advance(31min);
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_new(t, job, "it is purged");
  });

  add("Unique_APeriodHoldsWhenTheJobIsPurgedBefore", [](StoreCase& t) {
    t.options().retention.completed = 10min;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.advance(20min);
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "purged, and the period is not over");
    expect_new(t, within(1h, kNotFinal), "of those that are not final there is none");
  });

  add("Unique_APeriodHoldsWhereJobsAreNotKeptAtAll", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.options().retention.cancelled = 0s;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "completed a moment ago");
    t.advance(61min);
    const JobId second = t.insert(within(1h));
    EXPECT_NE(second, run.lease.id);
    t.cancel(second);
    ASSERT_TRUE(t.gone(second));
    expect_new(t, within(1h), "a cancelled one does not count");
  });

  add("Unique_APeriodHoldsAlsoWhereTheNumberOfJobsIsBounded", [](StoreCase& t) {
    t.options().retention.max_rows = 1;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    for (int i = 0; i < 40; ++i) t.finish(t.insert_and_claim());
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "trimmed away");
  });

  add("Unique_TheSweepForgetsKeysThatWereLeftBehind", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.create_again();
    t.finish(t.insert_and_claim(within(1h)));
    const Duration next = t.sweep_all().next;
    EXPECT_LE(next, 1h);
    EXPECT_GE(next, 1h - t.slack() - 1s) << "the sweep is told when to come";
    t.advance(61min);
    EXPECT_EQ(t.sweep_all().next, Duration::max()) << "nothing is left";
    expect_new(t, within(1h), "and it is free");
  });
}

void add_replace_cases(const Add& add) {
  add("Unique_ReplaceTakesArgumentsAndSchedule", [](StoreCase& t) {
    const JobId id = t.insert(keyed("k", OnConflict::kReplace, "1"));
    NewJob later = keyed("k", OnConflict::kReplace, "2");
    later.delay = 10s;
    later.start_within = 5s;
    const Inserted met = insert(t, later);
    EXPECT_TRUE(met.existed);
    EXPECT_TRUE(met.replaced);
    EXPECT_EQ(met.id, id);
    EXPECT_FALSE(met.ticket.has_value()) << "it is not due";
    const JobRecord record = t.record(id);
    EXPECT_EQ(record.payload, "2");
    EXPECT_EQ(record.state, State::kScheduled);
    EXPECT_EQ(record.expires, record.run_at + 5s);
    EXPECT_THAT(t.peek(), IsEmpty());
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kEarly) << "by its old ticket";

    const Inserted now = insert(t, keyed("k", OnConflict::kReplace, "3"));
    EXPECT_TRUE(now.replaced);
    ASSERT_TRUE(now.ticket.has_value());
    EXPECT_FALSE(t.record(id).expires.has_value());
    EXPECT_EQ(t.claim(id).payload, "3");
  });

  add("Unique_ReplaceKeepTimeTakesTheArgumentsOnly", [](StoreCase& t) {
    NewJob first = keyed("k", OnConflict::kReplaceKeepTime, "1");
    first.delay = 10s;
    const JobId id = t.insert(first);
    const JobRecord before = t.record(id);
    const Inserted met = insert(t, keyed("k", OnConflict::kReplaceKeepTime, "2"));
    EXPECT_TRUE(met.replaced);
    const JobRecord after = t.record(id);
    EXPECT_EQ(after.payload, "2");
    EXPECT_EQ(after.state, State::kScheduled);
    EXPECT_EQ(after.run_at, before.run_at);
    t.advance(11s);
    t.sweep_all();
    EXPECT_EQ(t.claim(id).payload, "2");
  });

  add("Unique_LongAndShortArgumentsReplaceEachOther", [](StoreCase& t) {
    const std::string large(100'000, 'x');
    const JobId id = t.insert(keyed("k", OnConflict::kReplace, "short"));
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, large)).replaced);
    EXPECT_TRUE(t.record(id).payload == large);
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, large + "y")).replaced);
    EXPECT_TRUE(t.record(id).payload == large + "y");
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, "")).replaced);
    EXPECT_EQ(t.claim(id).payload, "");
  });

  add("Unique_AJobThatRunsIsNotReplaced", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k", OnConflict::kReplace, "1"));
    expect_met(t, keyed("k", OnConflict::kReplace, "2"), run.lease.id, "it runs");
    EXPECT_EQ(t.record(run.lease.id).payload, "1");
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kApplied);
  });

  add("Unique_AReplacedJobBeginsAnewAndItsAttemptsCountOn", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k", OnConflict::kReplace, "1"));
    Finish failed = t.finish_of(run.lease, Verdict::kRetry, 1h);
    failed.checkpoint = "of the old arguments";
    t.finish(failed);
    NewJob anew = keyed("k", OnConflict::kReplace, "2");
    EXPECT_TRUE(insert(t, anew).replaced);
    const Claimed second = t.claim(run.lease.id);
    EXPECT_EQ(second.payload, "2");
    EXPECT_EQ(second.checkpoint, "") << "it was of the old arguments";
    EXPECT_EQ(second.attempt, 2);
    EXPECT_GT(second.lease.fence, run.lease.fence);
  });

  add("Unique_SeveralReplacementsInOneCallAreDoneInTheirOrder", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {
        keyed("k", OnConflict::kReplace, "1"), keyed("k", OnConflict::kReplace, "2"),
        keyed("k", OnConflict::kSkip, "3"), keyed("k", OnConflict::kReplace, "4")};
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(4));
    for (auto& a : answers) ASSERT_TRUE(a.has_value()) << a.error().message;
    EXPECT_FALSE(answers[0]->existed);
    EXPECT_TRUE(answers[1]->replaced);
    EXPECT_FALSE(answers[2]->replaced);
    EXPECT_TRUE(answers[3]->replaced);
    EXPECT_EQ(t.record(answers[0]->id).payload, "4");
    EXPECT_THAT(t.peek(), SizeIs(1));
  });

  add("Unique_AReplacedJobIsHeldToTheLimitOfItsNewArguments", [](StoreCase& t) {
    if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
    const auto limited = [](const char* key, OnConflict how) {
      NewJob job = keyed("k", how);
      job.limit = Limit{key, 1};
      return job;
    };
    NewJob one = t.job();
    one.limit = Limit{"one", 1};
    const Claimed run_of_one = t.insert_and_claim(one);
    const JobId id = t.insert(limited("one", OnConflict::kSkip));
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_TRUE(insert(t, limited("two", OnConflict::kReplaceKeepTime)).replaced);
    EXPECT_EQ(t.state(id), State::kAvailable) << "of that key nothing runs";
    EXPECT_EQ(t.record(id).limit->key, "two");
    EXPECT_TRUE(insert(t, limited("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_THAT(ids_of(t.finish(run_of_one).freed), ElementsAre(id));
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace)).replaced);
    EXPECT_FALSE(t.record(id).limit.has_value());
    const JobId next = t.insert(one);
    EXPECT_EQ(t.state(next), State::kAvailable) << "it is in that line no more";
    EXPECT_TRUE(insert(t, limited("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending) << "and here it is again, behind the next";
  });
}

// Runs body(i) on n threads that begin together.
void together(int n, const std::function<void(int)>& body) {
  std::barrier begin(n);
  std::vector<std::jthread> threads;
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      begin.arrive_and_wait();
      body(i);
    });
  }
}

// Every producer enqueues every key; one of them adds the job.
void expect_one_a_key(const std::vector<Store*>& producers) {
  constexpr int kKeys = 12;
  std::mutex mutex;
  std::map<std::string, std::set<JobId>> ids;
  std::map<std::string, int> added;
  together(static_cast<int>(producers.size()), [&](int producer) {
    for (int n = 0; n < kKeys; ++n) {
      const NewJob job = keyed("key-" + std::to_string(n));
      const Inserted in = must(producers[static_cast<std::size_t>(producer)]
                                   ->insert({&job, 1}, kPatience)
                                   .at(0));
      const std::lock_guard lock(mutex);
      ids[job.unique->key].insert(in.id);
      added[job.unique->key] += in.existed ? 0 : 1;
    }
  });
  EXPECT_THAT(added, SizeIs(kKeys));
  for (const auto& [key, times] : added) {
    EXPECT_EQ(times, 1) << key;
    EXPECT_THAT(ids[key], SizeIs(1)) << key;
  }
}

void add_race_cases(const Add& add) {
  add("Invariant9_OneKeyFromManyThreadsIsOneJob", [](StoreCase& t) {
    expect_one_a_key(std::vector<Store*>(8, &t.store()));
    EXPECT_THAT(t.peek(), SizeIs(12));
  });

  add("Invariant9_OneKeyFromManyProcessesIsOneJob", [](StoreCase& t) {
    if (t.traits().reach == Reach::kProcess) {
      GTEST_SKIP() << "store's reach is its process";
    }
    const auto b = t.beside();
    const auto c = t.beside();
    ASSERT_TRUE(b && c);
    expect_one_a_key({&t.store(), b.get(), c.get(), &t.store(), b.get(), c.get()});
    EXPECT_THAT(t.peek(), SizeIs(12));
  });

  add("Invariant9_AKeyThatIsFreeAgainGoesToOneOfMany", [](StoreCase& t) {
    constexpr int kProducers = 4;
    std::vector<std::unique_ptr<Store>> beside;
    std::vector<Store*> producers(kProducers, &t.store());
    if (t.traits().reach != Reach::kProcess) {
      for (Store*& producer : std::span(producers).subspan(1)) {
        producer = beside.emplace_back(t.beside()).get();
        ASSERT_NE(producer, nullptr);
      }
    }
    std::barrier step(kProducers);
    std::vector<Inserted> answers(kProducers);
    together(kProducers, [&](int i) {
      const auto mine = static_cast<std::size_t>(i);
      for (int round = 0; round < 20; ++round) {
        const NewJob job = keyed("k");
        answers[mine] = must(producers[mine]->insert({&job, 1}, kPatience).at(0));
        step.arrive_and_wait();
        if (i == 0) {
          JobId added{};
          int times = 0;
          for (const Inserted& in : answers) {
            EXPECT_EQ(in.id, answers[0].id) << "round " << round;
            if (in.existed) continue;
            added = in.id;
            ++times;
          }
          EXPECT_EQ(times, 1) << "round " << round;
          t.finish(t.claim(added));
        }
        step.arrive_and_wait();
      }
    });
  });

  // Producers and workers go on until a number of jobs is done: never do two run, and
  // every enqueue that was told of a new job made one.
  add("Invariant9_OneKeyHasOneJobWhileJobsEnd", [](StoreCase& t) {
    constexpr std::size_t kJobs = 25;
    // Each producer a process of its own, where the store reaches so far.
    std::vector<std::unique_ptr<Store>> beside;
    std::vector<Store*> producers(3, &t.store());
    if (t.traits().reach != Reach::kProcess) {
      for (const std::size_t i : {1, 2}) {
        producers[i] = beside.emplace_back(t.beside()).get();
        ASSERT_NE(producers[i], nullptr);
      }
    }
    std::mutex mutex;
    std::set<JobId> added;
    std::set<JobId> completed;
    std::atomic<int> running{0};
    std::atomic<int> most{0};
    std::atomic<bool> enough{false};
    together(5, [&](int i) {
      if (i < 3) {
        while (!enough.load()) {
          const NewJob job =
              keyed("k", i == 0 ? OnConflict::kReplace : OnConflict::kSkip);
          const Inserted in = must(
              producers[static_cast<std::size_t>(i)]->insert({&job, 1}, kPatience).at(0));
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(in.existed || added.insert(in.id).second);
          if (added.size() >= kJobs || in.id == JobId{}) enough = true;
        }
        return;
      }
      const std::string worker = "unique-" + std::to_string(i);
      for (std::uint64_t number = 1; !enough.load(); ++number) {
        const auto tickets = t.peek(1);
        if (tickets.empty()) continue;
        auto run =
            std::move(must(t.store().claim(tickets, worker, number, kLease)).at(0));
        if (!run) continue;
        const int now = ++running;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        --running;  // before the store says so
        const Finish end = StoreCase::finish_of(run->lease);
        must(t.store().finish({&end, 1}).at(0));
        const std::lock_guard lock(mutex);
        completed.insert(run->lease.id);
      }
    });
    EXPECT_EQ(most.load(), 1) << "two jobs of one key ran at once";
    EXPECT_GE(added.size(), kJobs);
    for (const JobId id : completed) EXPECT_TRUE(added.contains(id)) << value(id);
  });
}

void add_crash_cases(const Add& add) {
  add("Unique_KeysAreStillHeldAfterARestart", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    t.options().retention.completed = 0s;
    t.create_again();
    const JobId waits = t.insert(keyed("waits"));
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.reopen();
    expect_met(t, keyed("waits"), waits, "it waits");
    expect_met(t, within(1h), run.lease.id, "its period is not over");
  });
}

}  // namespace

void add_unique_cases(StoreCases& cases) {
  // Each says of itself that the store has none, rather than being left out.
  const Add add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().unique) GTEST_SKIP() << "the store has no unique keys";
      body(t);
    });
  };
  add_skip_cases(add);
  add_period_cases(add);
  add_replace_cases(add);
  add_race_cases(add);
  add_crash_cases(add);

  cases.add("Unique_IsRefusedWhereTheStoreHasNone", [](StoreCase& t) {
    if (t.traits().unique) GTEST_SKIP() << "the store has unique keys";
    const NewJob job = keyed("k");
    const auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kUnsupported);
  });
}

}  // namespace carrel::conformance
