// Beats, and ends, that are too long for one request.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../sql/sqlite_files.h"
#include "hosted.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// Tells what the broker asked of it, and holds rows or fails as it is told.
class BeatenStore final : public conformance::StoreWrapper {
 public:
  struct Call {
    std::uint64_t settled = 0;
    bool renew = false;
    std::vector<Beat> beats;
  };
  // Of a call, counted from 0 on, and one of its rows.
  using Holds = std::function<bool(std::size_t call, const Lease&)>;
  using Fails = std::function<bool(std::size_t call)>;

  BeatenStore() : StoreWrapper(make_memory_store({})) {}

  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    const std::lock_guard lock(mutex_);
    const std::size_t call = calls_.size();
    calls_.push_back({settled, renew, {beats.begin(), beats.end()}});
    if (fails_ && fails_(call)) return fail(Code::kUnavailable, "away", "test");
    std::vector<Beat> free(beats.begin(), beats.end());
    for (Beat& beat : free) {
      if (holds_ && holds_(call, beat.lease)) beat = {beat.lease, {}, {}, {}};
    }
    auto pulses = real().beat(worker, settled, free, renew, lease);
    for (std::size_t i = 0; pulses && i < free.size(); ++i) {
      if (holds_ && holds_(call, free[i].lease)) (*pulses)[i] = Pulse::kHeld;
    }
    return pulses;
  }
  std::vector<Call> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  void hold(Holds holds) {
    const std::lock_guard lock(mutex_);
    holds_ = std::move(holds);
  }
  void fail_where(Fails fails) {
    const std::lock_guard lock(mutex_);
    fails_ = std::move(fails);
  }

 private:
  mutable std::mutex mutex_;
  Holds holds_;
  Fails fails_;
  std::vector<Call> calls_;
};

// A broker, a store behind it, and jobs that a worker "w" runs.
struct LongBeat {
  explicit LongBeat(std::size_t jobs, std::size_t max_frame = std::size_t{1} << 20) {
    auto beaten = std::make_unique<BeatenStore>();
    hosted = beaten.get();
    BrokerOptions options;
    options.max_frame = max_frame;
    options.sweep = false;
    broker = test::start_broker(std::move(beaten), std::move(options));
    BackendOptions told;
    told.log = [this](LogLevel, std::string_view text) { log += text; };
    store = test::open_store(test::url_of(*broker), told).value();
    test::insert_jobs(*store, jobs);
    const auto runs =
        store->claim_source()->claim({{}, test::kWork, jobs}, "w", 1, 1h, 0s).value();
    for (const Claimed& run : runs) beats.emplace_back().lease = run.lease;
    EXPECT_THAT(beats, SizeIs(jobs));
  }

  // As a worker does: what was not stored is said again.
  void say_until_stored() {
    for (int left = 10; left > 0; --left) {
      const auto pulses = store->beat("w", 1, beats, true, 1h);
      bool held = !pulses;
      for (std::size_t i = 0; pulses && i < beats.size(); ++i) {
        if ((*pulses)[i] == Pulse::kHeld) {
          held = true;
        } else {
          EXPECT_EQ((*pulses)[i], Pulse::kAlive);
          beats[i] = {beats[i].lease, {}, {}, {}};
        }
      }
      if (!held) return;
    }
    ADD_FAILURE() << "it is never stored";
  }
  // Two of these are too long for one beat.
  void give_news() {
    for (std::size_t i = 0; i < beats.size(); ++i) {
      beats[i].progress = {0.5F, "half"};
      beats[i].checkpoint = std::string(700 << 10, static_cast<char>('a' + i));
      beats[i].log = "a line\n";
    }
  }
  void expect_each_once() {
    for (std::size_t i = 0; i < beats.size(); ++i) {
      const auto job = store->monitor().job(beats[i].lease.id).value();
      EXPECT_EQ(job.log, "a line\n");
      EXPECT_EQ(job.checkpoint, std::string(700 << 10, static_cast<char>('a' + i)));
      ASSERT_TRUE(job.progress);
      EXPECT_EQ(job.progress->message, "half");
    }
  }

  BeatenStore* hosted;
  std::unique_ptr<Broker> broker;
  std::string log;  // of the client, on the thread that asks
  std::unique_ptr<Store> store;
  std::vector<Beat> beats;
};

TEST(ZmqLongBeat, ItsNewsGoInSeveralAndEachRowIsRenewedByItsOwn) {
  LongBeat it(3);
  it.give_news();
  it.beats.pop_back();  // its claim's answer was lost
  const auto pulses = it.store->beat("w", 1, it.beats, true, 1h);
  ASSERT_TRUE(pulses) << pulses.error().message;
  EXPECT_THAT(*pulses, ElementsAre(Pulse::kAlive, Pulse::kAlive));
  it.expect_each_once();
  const auto calls = it.hosted->calls();
  ASSERT_THAT(calls, SizeIs(3));
  EXPECT_EQ(calls[0].settled, 1U);
  EXPECT_FALSE(calls[0].renew);
  EXPECT_THAT(calls[0].beats, SizeIs(2)) << "what settles names all";
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(calls[i].settled, 0U);
    EXPECT_TRUE(calls[i].renew);
    ASSERT_THAT(calls[i].beats, SizeIs(1));
    EXPECT_EQ(calls[i].beats[0].lease.id, it.beats[i - 1].lease.id);
  }
  const auto counts = it.store->monitor().counts().value();
  EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kAvailable)], 1U);
}

TEST(ZmqLongBeat, WhatItSaysIsStoredOnceWheneverItsRowIsHeld) {
  for (std::size_t from = 0; from < 4; ++from) {
    for (std::size_t to = from + 1; to < 6; ++to) {
      SCOPED_TRACE("held in calls " + std::to_string(from) + " to " + std::to_string(to));
      LongBeat it(2);
      it.give_news();
      it.hosted->hold(
          [=, id = it.beats[0].lease.id](std::size_t call, const Lease& lease) {
            return lease.id == id && call >= from && call < to;
          });
      it.say_until_stored();
      it.expect_each_once();
    }
  }
}

TEST(ZmqLongBeat, WhatItSaysIsStoredOnceWhicheverOfItFails) {
  for (std::size_t failing = 0; failing < 3; ++failing) {
    SCOPED_TRACE("call " + std::to_string(failing) + " fails");
    LongBeat it(2);
    it.give_news();
    it.hosted->fail_where([=](std::size_t call) { return call == failing; });
    it.say_until_stored();
    it.expect_each_once();
    EXPECT_THAT(it.log, HasSubstr(failing == 2 ? "away" : ""));
  }
}

TEST(ZmqLongBeat, AStoreThatIsAwayFailsItAsAnyOther) {
  LongBeat it(2);
  it.give_news();
  it.hosted->fail_where([](std::size_t) { return true; });
  EXPECT_EQ(it.store->beat("w", 1, it.beats, true, 1h).error().code, Code::kUnavailable);
  EXPECT_EQ(it.store->beat("w", 0, it.beats, true, 1h).error().code, Code::kUnavailable);
}

TEST(ZmqLongBeat, ACheckpointThatNoRequestHoldsIsDroppedAlone) {
  LongBeat it(3);
  it.give_news();
  it.beats[1].checkpoint = std::string(2 << 20, 'x');
  const auto pulses = it.store->beat("w", 1, it.beats, true, 1h);
  ASSERT_TRUE(pulses) << pulses.error().message;
  EXPECT_THAT(*pulses, testing::Each(Pulse::kAlive));
  const auto job = it.store->monitor().job(it.beats[1].lease.id).value();
  EXPECT_EQ(job.checkpoint, "");
  EXPECT_EQ(job.log, "a line\n");
  EXPECT_EQ(job.progress->message, "half");
  EXPECT_THAT(it.log, HasSubstr("its checkpoint is too long"));
  const auto calls = it.hosted->calls();
  ASSERT_THAT(calls, SizeIs(4));
  EXPECT_TRUE(calls[2].renew) << "its lease is as dear as any";
}

TEST(ZmqLongBeat, OfALogThatNoRequestHoldsTheNewestLinesAreStored) {
  LongBeat it(1, 64 << 10);
  std::string& log = it.beats[0].log;
  for (int i = 0; i < 20'000; ++i) log += std::to_string(i) + "\n";
  const auto pulses = it.store->beat("w", 1, it.beats, true, 1h);
  ASSERT_TRUE(pulses) << pulses.error().message;
  EXPECT_THAT(*pulses, ElementsAre(Pulse::kAlive));
  const std::string kept = it.store->monitor().job(it.beats[0].lease.id).value().log;
  EXPECT_GT(kept.size(), 16'000U);
  EXPECT_TRUE(log.ends_with(kept));
}

// Its result leaves no room for all of it.
TEST(ZmqLongBeat, AnEndIsStoredWithTheNewestLinesOfItsLog) {
  LongBeat it(1, 64 << 10);
  Finish end;
  end.lease = it.beats[0].lease;
  end.result = std::string(32 << 10, 'r');
  for (int i = 0; i < 7'000; ++i) end.log += std::to_string(i) + "\n";
  const auto answers = it.store->finish({&end, 1});
  ASSERT_THAT(answers, SizeIs(1));
  ASSERT_TRUE(answers[0]) << answers[0].error().message;
  EXPECT_EQ(answers[0]->state, State::kCompleted);
  const auto job = it.store->monitor().job(end.lease.id).value();
  EXPECT_EQ(job.result, end.result);
  EXPECT_GT(job.log.size(), 16'000U);
  EXPECT_TRUE(("\n" + end.log).ends_with("\n" + job.log)) << "whole lines";
}

TEST(ZmqLongBeat, LeasesThatAreTooManyForOneGoInSeveral) {
  LongBeat it(1, 64 << 10);
  std::vector<Beat> beats(5'000);
  for (std::size_t i = 0; i < beats.size(); ++i) beats[i].lease.id = JobId{i + 1'000};
  beats.back().lease = it.beats[0].lease;
  const auto pulses = it.store->beat("w", 1, beats, true, 1h);
  ASSERT_TRUE(pulses) << pulses.error().message;
  ASSERT_THAT(*pulses, SizeIs(beats.size()));
  EXPECT_EQ(pulses->front(), Pulse::kStale);
  EXPECT_EQ(pulses->back(), Pulse::kAlive) << "no piece takes those of another for lost";
}

}  // namespace
}  // namespace carrel::zmq
