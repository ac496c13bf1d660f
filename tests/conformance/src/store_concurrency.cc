// Many threads at once. Nothing here waits for time: the threads race until the work is
// done, and the checks hold for every interleaving.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::SizeIs;

// Every worker tries every ticket, each in an order of its own.
void expect_each_granted_once(const std::vector<Store*>& stores,
                              const std::vector<JobId>& ids) {
  std::mutex mutex;
  std::map<JobId, int> granted;
  together(static_cast<int>(stores.size()), [&](int i) {
    std::vector<Ticket> tickets;
    tickets.reserve(ids.size());
    for (JobId id : ids) tickets.push_back(StoreCase::ticket(id));
    std::shuffle(tickets.begin(), tickets.end(), std::mt19937(static_cast<unsigned>(i)));
    const std::string worker = "racer-" + std::to_string(i);
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < tickets.size(); at += 16) {
      const std::size_t n = std::min<std::size_t>(16, tickets.size() - at);
      const auto answers = must(stores[static_cast<std::size_t>(i)]->claim(
          std::span(tickets).subspan(at, n), worker, ++number, kLease));
      const std::lock_guard lock(mutex);
      for (const auto& a : answers) {
        if (a) ++granted[a->lease.id];
      }
    }
  });
  // Each may have skipped a row while another had it locked and did not take it: then it
  // is there for the next.
  std::vector<Ticket> left;
  for (const JobId id : ids) {
    if (!granted.contains(id)) left.push_back(StoreCase::ticket(id));
  }
  for (const auto& a : must(stores[0]->claim(left, "last", 1, kLease))) {
    if (a) ++granted[a->lease.id];
  }
  EXPECT_THAT(granted, SizeIs(ids.size())) << "a job cannot be had by anybody";
  for (const auto& [id, times] : granted) {
    EXPECT_EQ(times, 1) << "job " << value(id) << " was granted " << times << " times";
  }
}

// What a chaos of workers saw of one job.
struct Seen {
  std::vector<std::uint64_t> fences;
  int completed = 0;
};

void add_race_cases(StoreCases& cases) {
  cases.add("Invariant2_TwoClaimersNeverGetTheSameJob", [](StoreCase& t) {
    const auto ids = t.insert_many(400);
    expect_each_granted_once({&t.store(), &t.store(), &t.store(), &t.store()}, ids);
  });

  cases.add("Invariant2_TwoProcessesNeverGetTheSameJob", [](StoreCase& t) {
    if (t.traits().reach == Reach::kProcess) {
      GTEST_SKIP() << "store's reach is its process";
    }
    const auto ids = t.insert_many(400);
    const auto b = t.beside();
    const auto c = t.beside();
    ASSERT_TRUE(b && c);
    expect_each_granted_once({&t.store(), b.get(), c.get()}, ids);
  });

  cases.add("Invariant2_TwoSourcesNeverGetTheSameJob", [](StoreCase& t) {
    if (!t.store().claim_source()) {
      GTEST_SKIP() << "store is not its own queue: no claim_source";
    }
    constexpr std::size_t kJobs = 400;
    t.insert_many(kJobs);
    std::mutex mutex;
    std::map<JobId, int> granted;
    together(4, [&](int i) {
      const auto source = t.store().claim_source();
      const std::vector<std::string> kinds = {"work"};
      const std::string worker = "racer-" + std::to_string(i);
      for (std::uint64_t number = 1;; ++number) {
        const auto runs =
            must(source->claim({{}, kinds, 7}, worker, number, kLease, 0us));
        if (runs.empty()) break;
        const std::lock_guard lock(mutex);
        for (const Claimed& run : runs) ++granted[run.lease.id];
      }
    });
    EXPECT_THAT(granted, SizeIs(kJobs));
    for (const auto& [id, times] : granted) EXPECT_EQ(times, 1) << value(id);
  });

  cases.add("Insert_OneRequestIdFromManyThreadsIsOneJob", [](StoreCase& t) {
    std::mutex mutex;
    std::map<std::string, std::set<JobId>> ids;
    std::map<std::string, int> first;
    together(8, [&](int) {
      for (int n = 0; n < 20; ++n) {
        NewJob job = t.job();
        job.request_id = "request-" + std::to_string(n);
        const Inserted in = must(t.store().insert({&job, 1}, kPatience).at(0));
        const std::lock_guard lock(mutex);
        ids[job.request_id].insert(in.id);
        first[job.request_id] += in.existed ? 0 : 1;
      }
    });
    for (const auto& [request, answered] : ids)
      EXPECT_THAT(answered, SizeIs(1)) << request;
    for (const auto& [request, times] : first) EXPECT_EQ(times, 1) << request;
    EXPECT_THAT(t.peek(), SizeIs(20));
  });

  cases.add("Finish_TheSameFinishFromManyThreadsIsAppliedOnce", [](StoreCase& t) {
    for (int round = 0; round < 25; ++round) {
      const Claimed run = t.insert_and_claim();
      std::atomic<int> applied{0};
      std::atomic<int> already{0};
      together(4, [&](int) {
        const Finish done = t.finish_of(run.lease);
        const Finished f = must(t.store().finish({&done, 1}).at(0));
        applied += f.kind == Finished::Kind::kApplied;
        already += f.kind == Finished::Kind::kAlready;
      });
      EXPECT_EQ(applied, 1);
      EXPECT_EQ(already, 3);
    }
  });

  cases.add("Sweep_FromManyThreadsRescuesOnce", [](StoreCase& t) {
    const auto ids = t.insert_many(100);
    for (const auto& a : must(t.try_claim(ids))) ASSERT_TRUE(a.has_value());
    t.advance(kLease);
    std::atomic<std::size_t> rescued{0};
    std::mutex mutex;
    std::multiset<JobId> due;
    together(4, [&](int) {
      for (;;) {
        const Swept swept = must(t.store().sweep(9));
        if (swept.due.empty()) break;
        rescued += swept.rescued;
        const std::lock_guard lock(mutex);
        for (const Ticket& ticket : swept.due) due.insert(ticket.id);
      }
    });
    EXPECT_EQ(rescued, 100U);
    EXPECT_THAT(due, SizeIs(100));
    EXPECT_THAT(std::set<JobId>(due.begin(), due.end()), SizeIs(100));
  });
}

void add_chaos_case(StoreCases& cases) {
  // Workers that lose leases, release, retry and repeat their finishes, over a clock that
  // runs away from them.
  cases.add("Invariant3And4_AChaosOfWorkersCompletesEachJobOnce", [](StoreCase& t) {
    constexpr std::size_t kJobs = 60;
    NewJob like = t.job();
    like.max_attempts = 10'000;
    const auto ids = t.insert_many(kJobs, like);
    std::mutex mutex;
    std::map<JobId, Seen> seen;
    std::atomic<std::size_t> completed{0};
    std::atomic<int> stale{0};
    together(4, [&](int i) {
      std::mt19937 random(static_cast<unsigned>(i) + 7);
      const std::string worker = "chaos-" + std::to_string(i);
      std::vector<Lease> held;  // by a worker that forgets to let go
      std::uint64_t number = 0;
      while (completed < kJobs) {
        const Ticket ticket = t.ticket(ids[random() % kJobs]);
        const auto answer =
            std::move(must(t.store().claim({&ticket, 1}, worker, ++number, 1s)).at(0));
        if (answer) {
          held.push_back(answer->lease);
          const std::lock_guard lock(mutex);
          seen[ticket.id].fences.push_back(value(answer->lease.fence));
        }
        if (random() % 8 == 0) t.advance(600ms);
        if (random() % 4 == 0) must(t.store().sweep(5));
        if (held.empty() || random() % 3 == 0) continue;
        const std::size_t pick = random() % held.size();
        constexpr Verdict kVerdicts[] = {Verdict::kCompleted, Verdict::kRetry,
                                         Verdict::kReleased, Verdict::kSnoozed,
                                         Verdict::kInterrupted};
        const Finish finish = t.finish_of(held[pick], kVerdicts[random() % 5]);
        for (int again = 0; again < 2; ++again) {
          const Finished f = must(t.store().finish({&finish, 1}).at(0));
          stale += f.kind == Finished::Kind::kStale;
          if (f.kind == Finished::Kind::kApplied && f.state == State::kCompleted) {
            ++completed;
            const std::lock_guard lock(mutex);
            ++seen[finish.lease.id].completed;
          }
        }
        if (random() % 2 == 0) held.erase(held.begin() + static_cast<long>(pick));
      }
    });
    EXPECT_GT(stale, 0) << "the case should produce zombies";
    for (JobId id : ids) {
      EXPECT_EQ(seen[id].completed, 1) << "job " << value(id);
      EXPECT_EQ(t.state(id), State::kCompleted);
      const auto& fences = seen[id].fences;
      EXPECT_EQ(std::set<std::uint64_t>(fences.begin(), fences.end()).size(),
                fences.size())
          << "a fence of job " << value(id) << " was granted twice";
      EXPECT_EQ(value(t.record(id).fence),
                *std::max_element(fences.begin(), fences.end()));
    }
  });
}

}  // namespace

void add_concurrency_cases(StoreCases& cases) {
  add_race_cases(cases);
  add_chaos_case(cases);
}

}  // namespace carrel::conformance
