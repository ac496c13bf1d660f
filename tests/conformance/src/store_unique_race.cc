// Many enqueues under one unique key at once are as one after the other.
#include <gmock/gmock.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "unique_case.h"

namespace carrel::conformance {
namespace {

using testing::SizeIs;

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

}  // namespace

void add_unique_race_cases(UniqueCases& cases) {
  cases.add("Invariant9_OneKeyFromManyThreadsIsOneJob", [](StoreCase& t) {
    expect_one_a_key(std::vector<Store*>(8, &t.store()));
    EXPECT_THAT(t.peek(), SizeIs(12));
  });

  cases.add("Invariant9_OneKeyFromManyProcessesIsOneJob", [](StoreCase& t) {
    if (t.traits().reach == Reach::kProcess) {
      GTEST_SKIP() << "store's reach is its process";
    }
    const auto b = t.beside();
    const auto c = t.beside();
    ASSERT_TRUE(b && c);
    expect_one_a_key({&t.store(), b.get(), c.get(), &t.store(), b.get(), c.get()});
    EXPECT_THAT(t.peek(), SizeIs(12));
  });

  cases.add("Invariant9_AKeyThatIsFreeAgainGoesToOneOfMany", [](StoreCase& t) {
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
  cases.add("Invariant9_OneKeyHasOneJobWhileJobsEnd", [](StoreCase& t) {
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

}  // namespace carrel::conformance
