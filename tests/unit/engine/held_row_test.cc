// Rows that others hold while a beat comes: whose run that is hears in time that its
// lease could not be renewed, and goes on where the row is free before.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

struct Row {
  // Somebody holds it at that beat. Called by the pulse.
  std::function<bool(const Beat& beat, bool renew)> is_held;
  std::atomic<JobId> job{};
  std::atomic<std::size_t> rescued{0};
  std::atomic<std::size_t> beats{0};
  Gate over;  // until then its handler runs, unless it is told to stop
  Store* store = nullptr;
};

class Holding final : public conformance::StoreWrapper {
 public:
  Holding(std::unique_ptr<Store> real, std::shared_ptr<Row> row)
      : StoreWrapper(std::move(real)), row_(std::move(row)) {
    row_->store = this;
  }
  Result<Swept> sweep(std::size_t max) override {
    auto swept = real().sweep(max);
    if (swept && swept->rescued > 0) {
      row_->rescued += swept->rescued;
      row_->over.open();
    }
    return swept;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    ++row_->beats;
    row_->beats.notify_all();
    const auto it = std::ranges::find_if(
        beats, [&](const Beat& beat) { return beat.lease.id == row_->job.load(); });
    if (it == beats.end() || !row_->is_held(*it, renew)) {
      return real().beat(worker, settled, beats, renew, lease);
    }
    std::vector<Beat> others(beats.begin(), it);
    others.insert(others.end(), it + 1, beats.end());
    auto pulses = real().beat(worker, 0, others, renew, lease);
    if (pulses) pulses->insert(pulses->begin() + (it - beats.begin()), Pulse::kHeld);
    return pulses;
  }

 private:
  std::shared_ptr<Row> row_;
};

class HeldRow : public testing::Test {
 protected:
  HeldRow() { config_.worker.lease = 2s; }
  Engine open() {
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "holding",
        [row = row_](const Url&,
                     const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<Holding>(make_memory_store(options), row);
        });
    config_.store = "holding:";
    config_.queue = "memory:";
    return Engine::open(config_, registry).value();
  }
  // True: the job was told to.
  static bool is_stopped_before(Gate& over, Context& job) {
    const std::stop_callback wake(job.stop(), [&] { over.open(); });
    over.pass();
    return job.stopping();
  }
  // Runs "work" until it is told to stop, or it is over; true: it was told.
  bool is_stopped() {
    std::promise<bool> told;
    std::atomic<bool> seen{false};
    Engine engine = open();
    engine.handle("work", [&](Context& job) {
      const bool stopped = is_stopped_before(row_->over, job);
      if (!seen.exchange(true)) told.set_value(stopped);
    });
    row_->job = engine.enqueue("work").value();
    EXPECT_TRUE(engine.start());
    const bool stopped = told.get_future().get();
    engine.stop(1s);
    return stopped;
  }

  Config config_ = memory_config();
  const std::shared_ptr<Row> row_ = std::make_shared<Row>();
};

TEST_F(HeldRow, ItsRunIsStoppedBeforeItsLeaseEndsAndNoOther) {
  // Renewed once, after this; from then on somebody has it.
  std::atomic<SteadyClock::time_point> last = SteadyClock::now();
  bool held = false;
  row_->is_held = [&](const Beat&, bool renew) {
    if (held) return true;
    held = renew;
    if (!renew) last = SteadyClock::now();
    return false;
  };
  struct Told {
    SteadyClock::duration after;
    std::size_t rescued;
  };
  std::promise<Told> told;
  std::atomic<bool> other_told{false};
  std::atomic<bool> seen{false};
  Gate other_over;
  Engine engine = open();
  engine.handle("held", [&](Context& job) {
    is_stopped_before(row_->over, job);
    const auto after = SteadyClock::now() - last.load();
    std::ignore = row_->store->sweep(10);  // nobody could have taken it yet
    if (!seen) told.set_value({after, row_->rescued});
    seen = true;
  });
  engine.handle("other", [&](Context& job) {
    if (is_stopped_before(other_over, job)) other_told = true;
  });
  row_->job = engine.enqueue("held").value();
  ASSERT_TRUE(engine.enqueue("other"));
  ASSERT_TRUE(engine.start());
  const Told how = told.get_future().get();
  const std::size_t until = row_->beats + 5;
  for (std::size_t now = 0; (now = row_->beats) < until;) row_->beats.wait(now);
  EXPECT_FALSE(other_told);
  other_over.open();
  engine.stop(1s);
  EXPECT_EQ(how.rescued, 0U) << "others could have it while it ran";
  EXPECT_GE(how.after, config_.worker.lease * 4 / 5) << "it had that long";
}

// Past the regular renewal that might have come too late: two are passed over, and the
// third would come when it is fenced.
TEST_F(HeldRow, ItsRunGoesOnWhereTheRowIsFreeInTime) {
  bool renewed = false;
  int passed_over = 0;
  std::vector<bool> renewing;  // the beats since it is free
  int renewals = 0;
  row_->is_held = [&](const Beat&, bool renew) {
    if (!renewed) return renewed = renew, false;
    if (passed_over < 2) return passed_over += renew ? 1 : 0, true;
    renewing.push_back(renew);
    if (renew && ++renewals == 3) row_->over.open();
    return false;
  };
  EXPECT_FALSE(is_stopped());
  ASSERT_GE(renewing.size(), 2U);
  EXPECT_TRUE(renewing[0] || renewing[1]) << "as soon as it is seen to be free";
}

// The next regular beat would come when it is fenced.
TEST_F(HeldRow, AMomentsLockStopsNoRunHoweverRareBeatsAre) {
  config_.worker.beat = config_.worker.lease / 2;
  bool was_held = false;
  int renewals = 0;
  row_->is_held = [&](const Beat&, bool renew) {
    if (renew && !std::exchange(was_held, true)) return true;
    if (renew && ++renewals == 3) row_->over.open();
    return false;
  };
  EXPECT_FALSE(is_stopped());
}

TEST_F(HeldRow, WhatItsBeatCarriedGoesWithTheNext) {
  std::promise<void> came;
  std::promise<void> said_more;
  std::promise<Beat> next;
  bool is_free = false;
  bool seen = false;
  row_->is_held = [&](const Beat& beat, bool) {
    if (is_free && !std::exchange(seen, true)) next.set_value(beat);
    if (is_free) return false;
    is_free = !beat.log.empty();
    if (is_free) {
      came.set_value();
      said_more.get_future().wait();
    }
    return true;
  };
  Gate gate;
  Engine engine = open();
  engine.handle("work", [&](Context& job) {
    job.checkpoint("1");
    job.progress(0.5F, "half");
    job.log("said");
    came.get_future().wait();
    job.log("more");
    said_more.set_value();
    gate.pass();
  });
  const auto id = engine.enqueue("work").value();
  row_->job = id;
  ASSERT_TRUE(engine.start());
  const Beat beat = next.get_future().get();
  gate.open();
  EXPECT_EQ(beat.log, "said\nmore\n");
  EXPECT_EQ(beat.checkpoint, "1");
  ASSERT_TRUE(beat.progress);
  EXPECT_EQ(beat.progress->message, "half");
  ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_EQ(engine.job(id)->log, "said\nmore\n") << "once";
}

}  // namespace
}  // namespace carrel
