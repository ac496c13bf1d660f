// What the engine asks of a store, and when: over stores that count, or that fail.
#include <carrel/conformance/manual_clock.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

struct Asked {
  bool holds_what_is_due = false;
  bool cannot_beat = false;
  std::shared_future<void> beats_hang;  // until it is ready
  // The first beat with a log waits for this, and is answered so then.
  std::shared_future<void> first_log_waits;
  Pulse first_log_is = Pulse::kStale;
  std::promise<void> log_came;
  std::shared_future<void> log_has_come{log_came.get_future()};
  std::atomic<int> sweeps{0};
  std::atomic<std::size_t> rescued{0};
  std::promise<void> swept_often;
  Store* store = nullptr;
  conformance::ManualClock clock;
  bool moves_its_clock = false;
};
constexpr int kOften = 20;

class Counting final : public conformance::StoreWrapper {
 public:
  Counting(std::unique_ptr<Store> real, std::shared_ptr<Asked> asked)
      : StoreWrapper(std::move(real)), asked_(std::move(asked)) {
    asked_->store = &StoreWrapper::real();
  }
  Result<Swept> sweep(std::size_t max) override {
    if (++asked_->sweeps == kOften) asked_->swept_often.set_value();
    if (!asked_->holds_what_is_due) {
      auto swept = real().sweep(max);
      if (swept) asked_->rescued += swept->rescued;
      return swept;
    }
    Swept nothing;
    nothing.next = Duration::zero();
    return nothing;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (asked_->beats_hang.valid()) asked_->beats_hang.wait();
    const auto has_log = [](const Beat& beat) { return !beat.log.empty(); };
    if (asked_->first_log_waits.valid() &&
        std::any_of(beats.begin(), beats.end(), has_log)) {
      asked_->log_came.set_value();
      std::exchange(asked_->first_log_waits, {}).wait();
      return std::vector<Pulse>(beats.size(), asked_->first_log_is);
    }
    if (asked_->cannot_beat) return fail(Code::kUnavailable, "away");
    return real().beat(worker, settled, beats, renew, lease);
  }

 private:
  std::shared_ptr<Asked> asked_;
};

Engine open_over(const std::shared_ptr<Asked>& asked, Config config) {
  Registry registry = Registry::with_builtins();
  registry.add_store(
      "counting",
      [asked](const Url&, const BackendOptions& given) -> Result<std::unique_ptr<Store>> {
        BackendOptions options = given;
        if (asked->moves_its_clock) options.clock = &asked->clock;
        return std::make_unique<Counting>(make_memory_store(options), asked);
      });
  config.store = "counting:";
  config.queue = "memory:";
  return Engine::open(config, registry).value();
}

TEST(StoreCalls, WhatIsDueAndHeldByAnotherIsNotAskedForAllTheTime) {
  const auto asked = std::make_shared<Asked>();
  asked->holds_what_is_due = true;
  Config config = memory_config();
  config.worker.poll = 1h;
  Engine engine = open_over(asked, config);
  engine.handle("work", [](Context&) {});
  const auto start = SteadyClock::now();
  ASSERT_TRUE(engine.start());
  asked->swept_often.get_future().wait();
  EXPECT_GE(SteadyClock::now() - start, (kOften - 1) * 5ms);
}

TEST(StoreCalls, AJobWhoseLeaseCannotBeRenewedIsStoppedBeforeItEnds) {
  const auto asked = std::make_shared<Asked>();
  asked->cannot_beat = true;
  Config config = memory_config();
  config.worker.lease = 2s;
  Engine engine = open_over(asked, config);
  std::promise<std::size_t> rescued;
  std::atomic<bool> told{false};
  engine.handle("work", [&](Context& job) {
    while (!job.stopping()) std::this_thread::sleep_for(1ms);
    // Nobody could have taken it yet.
    const auto now = asked->store->sweep(10).value().rescued;
    if (!told.exchange(true)) rescued.set_value(now + asked->rescued);
  });
  ASSERT_TRUE(engine.enqueue("work"));
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(rescued.get_future().get(), 0U);
  engine.stop(1s);
}

// As behind a black hole, where a call takes its time to fail.
TEST(StoreCalls, AJobWhoseBeatHangsIsStoppedBeforeItsLeaseEnds) {
  const auto asked = std::make_shared<Asked>();
  std::promise<void> let_go;
  asked->beats_hang = let_go.get_future().share();
  Config config = memory_config();
  config.worker.lease = 2s;
  Engine engine = open_over(asked, config);
  std::promise<bool> stopped;
  std::atomic<bool> told{false};
  engine.handle("work", [&](Context& job) {
    // Until it is told, or others may have it.
    while (!job.stopping() && asked->rescued == 0) std::this_thread::sleep_for(1ms);
    if (!told.exchange(true)) stopped.set_value(job.stopping() && asked->rescued == 0);
  });
  ASSERT_TRUE(engine.enqueue("work"));
  ASSERT_TRUE(engine.start());
  EXPECT_TRUE(stopped.get_future().get()) << "others had it while it ran";
  let_go.set_value();
  engine.stop(1s);
}

// As of a job that its host completes while a beat is under way: that finds its row held
// or gone, and its finish is to come.
TEST(StoreCalls, WhatABeatCarriedThatWasNotStoredGoesWithTheFinish) {
  for (const Pulse pulse : {Pulse::kStale, Pulse::kHeld}) {
    const auto asked = std::make_shared<Asked>();
    std::promise<void> run_ended;
    asked->first_log_waits = run_ended.get_future().share();
    asked->first_log_is = pulse;
    Config config = memory_config();
    config.worker.beat = 1ms;
    Engine engine = open_over(asked, config);
    engine.handle("work", [&](Context& job) {
      job.log("said");
      asked->log_has_come.wait();
    });
    const auto id = engine.enqueue("work").value();
    ASSERT_TRUE(engine.start());
    asked->log_has_come.wait();
    while (engine.health()->busy > 0) std::this_thread::yield();
    run_ended.set_value();
    ASSERT_TRUE(engine.wait(id, kLong));
    EXPECT_EQ(engine.job(id)->log, "said\n");
  }
}

// Of a worker that died without a word, by one that has looked before and found nothing:
// the lease, and as long as it may take until it looks again.
TEST(StoreCalls, WhatADeadWorkerHeldIsTakenBackSoonAfterItsLease) {
  for (const Duration lease : {Config{}.worker.lease, Duration(2s)}) {
    const auto asked = std::make_shared<Asked>();
    asked->moves_its_clock = true;
    Config config = memory_config();
    config.worker.lease = lease;
    Engine engine = open_over(asked, config);
    std::atomic<std::uint64_t> ran{0};
    engine.handle("work", [&](Context& job) {
      ran = value(job.job().lease.id);
      ran.notify_all();
    });
    ASSERT_TRUE(engine.start());
    while (asked->sweeps == 0) std::this_thread::yield();
    NewJob job;
    job.kind = "work";
    job.payload = "{}";
    JobId held{};
    for (std::uint64_t number = 1; held == JobId{}; ++number) {
      const auto one = asked->store->insert({&job, 1}, 60s).at(0).value();
      // Unless the worker here was quicker.
      const auto claimed = asked->store->claim({&*one.ticket, 1}, "dead", number, lease);
      if (claimed.value().at(0)) held = one.id;
    }
    asked->clock.advance(lease);
    const auto over = SteadyClock::now();
    for (auto now = ran.load(); now != value(held); now = ran.load()) ran.wait(now);
    const Duration all =
        lease + std::chrono::duration_cast<Duration>(SteadyClock::now() - over);
    EXPECT_LT(all, lease == 2s ? 4s : 36s);
    engine.stop(1s);
  }
}

// A store whose counts take a while.
class Thoughtful final : public conformance::StoreWrapper, private Monitor {
 public:
  static constexpr auto kThinks = std::chrono::milliseconds(2);
  using StoreWrapper::StoreWrapper;
  Monitor& monitor() noexcept override { return *this; }

 private:
  Result<JobRecord> job(JobId id) override { return real().monitor().job(id); }
  Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                      std::size_t limit) override {
    return real().monitor().list(filter, before, limit);
  }
  Result<Counts> counts() override {
    const auto until = SteadyClock::now() + kThinks;
    while (SteadyClock::now() < until) std::this_thread::yield();
    return real().monitor().counts();
  }
  Result<std::vector<std::string>> paused() override { return real().monitor().paused(); }
};

// A store that takes no ends for a while. Whoever goes on claiming meanwhile hands ever
// more of them to it, until none is stored within its lease.
class Behind final : public conformance::StoreWrapper {
 public:
  struct Seen {
    bool refuses = false;              // else the first finish is slow
    std::atomic<std::size_t> held{0};  // claimed, and not finished
    std::size_t held_at_last = 0;      // when it began to take ends
    std::atomic<std::size_t> beats{0};
    std::promise<void> waited;  // an end has, for long, and still does
    std::shared_future<void> has_waited{waited.get_future()};
  };

  Behind(std::unique_ptr<Store> real, std::shared_ptr<Seen> seen)
      : StoreWrapper(std::move(real)), seen_(std::move(seen)) {}

  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = true;
    return traits;
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override {
    auto answers = real().claim(tickets, worker, claim_number, lease);
    if (!answers) return answers;
    seen_->held += static_cast<std::size_t>(std::ranges::count_if(
        *answers, [](const ClaimAnswer& answer) { return answer.has_value(); }));
    return answers;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    ++seen_->beats;
    seen_->beats.notify_all();
    return real().beat(worker, settled, beats, renew, lease);
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    for (; times_ < 2; ++times_) {
      if (!has_waited_long()) {
        const Error away{Code::kUnavailable, "away"};
        return std::vector<Result<Finished>>(runs.size(), tl::unexpected(away));
      }
      if (times_ == 0) seen_->waited.set_value();
    }
    if (seen_->held_at_last == 0) seen_->held_at_last = seen_->held;
    seen_->held -= runs.size();
    return real().finish(runs);
  }

 private:
  bool has_waited_long() {
    if (!begun_) begun_ = seen_->beats;
    const std::size_t until = *begun_ + 20;
    std::size_t now = seen_->beats;
    for (; now < until && !seen_->refuses; now = seen_->beats) seen_->beats.wait(now);
    if (now < until) return false;
    begun_.reset();
    return true;
  }

  std::shared_ptr<Seen> seen_;
  std::optional<std::size_t> begun_;
  int times_ = 0;
};

// Of many jobs over such a store.
std::size_t held_when_it_takes_ends(bool refuses) {
  const auto seen = std::make_shared<Behind::Seen>();
  seen->refuses = refuses;
  constexpr std::size_t kJobs = 100;
  Registry registry = Registry::with_builtins();
  registry.add_store(
      "behind",
      [&](const Url&, const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
        return std::make_unique<Behind>(make_memory_store(options), seen);
      });
  Config config = memory_config(2);
  config.worker.lease = 2s;  // its eighth is less than so many beats
  config.store = "behind:";
  config.queue = "memory:";
  Engine engine = Engine::open(config, registry).value();
  std::atomic<std::size_t> begun{0};
  std::latch ended(kJobs);
  engine.handle("work", [&](Context&) {
    if (begun++ > 0) seen->has_waited.wait();
  });
  engine.on_finished([&](const auto&...) { ended.count_down(); });
  for (std::size_t i = 0; i < kJobs; ++i) EXPECT_TRUE(engine.enqueue("work"));
  EXPECT_TRUE(engine.start());
  ended.wait();
  engine.stop(1s);
  return seen->held_at_last;
}

// As many ends as may run, and those that run beside them.
TEST(StoreCalls, WhileTheStoreIsSlowNoMoreAreClaimedThanMayRun) {
  EXPECT_LE(held_when_it_takes_ends(false), 4U);
}

TEST(StoreCalls, WhileTheStoreTakesNoEndsNoMoreAreClaimedThanMayRun) {
  EXPECT_LE(held_when_it_takes_ends(true), 4U);
}

TEST(StoreCalls, HealthSaysHowLongItsCountsTook) {
  Registry registry = Registry::with_builtins();
  registry.add_store(
      "thoughtful",
      [](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
        return std::make_unique<Thoughtful>(make_memory_store(o));
      });
  Config config = memory_config();
  config.store = "thoughtful:";
  Engine engine = Engine::open(config, registry).value();
  const auto before = SteadyClock::now();
  const auto health = engine.health();
  const auto took = std::chrono::duration_cast<Duration>(SteadyClock::now() - before);
  ASSERT_TRUE(health);
  EXPECT_GE(health->store_round_trip, Thoughtful::kThinks);
  EXPECT_LE(health->store_round_trip, took);
  EXPECT_EQ(Json(*health).at("store_round_trip_us"), health->store_round_trip.count());
}

}  // namespace
}  // namespace carrel
