// The checker must see what it is there to see: each case tells one lie and expects it to
// be found. Also the event logs and fault plans that kill tests stand on.
#include <carrel/conformance/checker.h>
#include <carrel/conformance/faults.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "checker_keys.h"

namespace carrel::conformance {
namespace {

using Kind = Event::Kind;

// One job, enqueued, run and completed as it should be, with all that was seen of it.
class CheckerTest : public testing::Test {
 protected:
  CheckerTest() {
    NewJob job;
    job.kind = "work";
    job.payload = "[1]";
    job.request_id = "r1";
    id_ = store_->insert({&job, 1}, std::chrono::seconds(1)).at(0).value().id;
    const Ticket ticket{id_, "default", "work", 0};
    lease_ = store_->claim({&ticket, 1}, "w", 1, std::chrono::hours(1))
                 .value()
                 .at(0)
                 .value()
                 .lease;
    events_ = {event(Kind::kAsk, 0, 1, "r1", hash_of("[1]")),
               event(Kind::kAck, 0, 2, "r1"), event(Kind::kClaim, 1, 3),
               event(Kind::kStart, 1, 4, "", hash_of("[1]")),
               event(Kind::kEnd, 1, 5, "", hash_of("2"))};
    events_[2].until = 1'000;
    events_[3].attempt = 1;
  }

  void complete(const std::string& result = "2") {
    Finish finish;
    finish.lease = lease_;
    finish.result = result;
    ASSERT_TRUE(store_->finish({&finish, 1}).at(0));
    add(event(Kind::kApplied, 1, 6, "completed"));
  }
  Event event(Kind kind, std::uint64_t fence, std::int64_t time, std::string key = "",
              std::uint64_t hash = 0) const {
    Event e;
    e.kind = kind;
    e.id = kind == Kind::kAsk ? 0 : value(id_);
    e.fence = fence;
    e.time = time;
    e.key = std::move(key);
    e.hash = hash;
    return e;
  }
  void add(Event e) { events_.push_back(std::move(e)); }
  CheckReport report() { return check(*store_, events_).value(); }
  // Exactly the rules that are named are broken.
  void expect_broken(const std::string& rule) {
    const CheckReport r = report();
    ASSERT_FALSE(r.broken.empty()) << "the checker saw nothing wrong";
    for (const std::string& b : r.broken) EXPECT_TRUE(b.starts_with(rule)) << b;
  }

  std::unique_ptr<Store> store_ = make_memory_store({});
  JobId id_{};
  Lease lease_;
  std::vector<Event> events_;
};

TEST_F(CheckerTest, FindsNothingWhereAllIsWell) {
  complete();
  add(event(Kind::kStale, 1, 7));
  add(event(Kind::kAlready, 1, 8));
  const CheckReport r = report();
  EXPECT_TRUE(r.broken.empty()) << to_string(r);
  EXPECT_EQ(r.acknowledged, 1U);
  EXPECT_EQ(r.rows, 1U);
  EXPECT_EQ(r.completed, 1U);
  EXPECT_EQ(r.runs, 1U);
  EXPECT_EQ(r.stale_finishes, 1U);
  EXPECT_EQ(r.already, 1U);
  EXPECT_EQ(r.repeated, 0U);
}

TEST_F(CheckerTest, SeesALostEnqueue) {
  complete();
  Event lost = event(Kind::kAck, 0, 2, "r2");
  lost.id = 999;
  add(lost);
  expect_broken("rule 1, job 999");
}

TEST_F(CheckerTest, SeesARowThatNobodyAskedFor) {
  complete();
  NewJob stray;
  stray.kind = "work";
  ASSERT_TRUE(store_->insert({&stray, 1}, std::chrono::seconds(1)).at(0));
  expect_broken("rule 1");
}

// What a run asked for, without a request id, is known by its payload.
TEST_F(CheckerTest, SeesWhatBecameOfAnUnnamedJob) {
  complete();
  NewJob unnamed;
  unnamed.kind = "work";
  unnamed.payload = "[2]";
  Event ask = event(Kind::kAsk, 1, 4, "by-1", hash_of("[2]"));
  ask.id = value(id_);
  add(ask);
  EXPECT_TRUE(report().broken.empty()) << "it may not have been stored";
  const auto insert = [&] {
    return store_->insert({&unnamed, 1}, std::chrono::seconds(1)).at(0).value().id;
  };
  Event ack = event(Kind::kAck, 0, 5, "by-1");
  ack.id = value(insert());
  EXPECT_TRUE(report().broken.empty()) << "it may not have been answered";
  add(ack);
  const CheckReport r = report();
  EXPECT_TRUE(r.broken.empty()) << to_string(r);
  EXPECT_EQ(r.acknowledged, 1U);
  EXPECT_EQ(r.acknowledged_unnamed, 1U);
  EXPECT_EQ(r.unnamed, 1U);
  EXPECT_EQ(r.rows, 2U);
  insert();
  expect_broken("rule 4");
}

TEST_F(CheckerTest, SeesALostUnnamedJob) {
  complete();
  Event ask = event(Kind::kAsk, 1, 4, "by-1", hash_of("[2]"));
  ask.id = value(id_);
  add(ask);
  Event ack = event(Kind::kAck, 0, 5, "by-1");
  ack.id = 999;
  add(ack);
  expect_broken("rule 1, job 999");
}

TEST_F(CheckerTest, SeesTwoCompletions) {
  complete();
  add(event(Kind::kApplied, 1, 9, "completed"));
  expect_broken("rule 3");
}

TEST_F(CheckerTest, SeesACompletionWithoutARun) {
  events_.pop_back();  // the handler never ended
  complete();
  expect_broken("rule 3");
}

TEST_F(CheckerTest, SeesACompletionUnderAnotherFence) {
  complete();
  events_.back().fence = 7;
  expect_broken("rule 4");
}

TEST_F(CheckerTest, SeesAFenceGrantedTwice) {
  complete();
  add(event(Kind::kClaim, 1, 9));
  expect_broken("rule 4");
}

TEST_F(CheckerTest, SeesTwoRunsUnderOneFence) {
  complete();
  add(events_[3]);
  expect_broken("rule 4");
}

TEST_F(CheckerTest, SeesARequestAnsweredWithTwoJobs) {
  complete();
  Event other = event(Kind::kAck, 0, 2, "r1");
  other.id = 999;
  add(other);
  expect_broken("rule 4, job 999");
}

TEST_F(CheckerTest, SeesAnOverlapBeforeTheLeaseEnded) {
  // Fence 1 ended at 5, with its lease good until 1,000; fence 2 began at 4.5.
  ASSERT_TRUE(store_->beat("w", 1, {}, false, Duration{1}));  // sets it free
  const Ticket ticket{id_, "default", "work", 0};
  lease_ = store_->claim({&ticket, 1}, "w", 2, std::chrono::hours(1))
               .value()
               .at(0)
               .value()
               .lease;
  ASSERT_EQ(value(lease_.fence), 2U);
  events_[4].time = 500;
  Event start = event(Kind::kStart, 2, 400, "", hash_of("[1]"));
  start.attempt = 1;
  add(event(Kind::kClaim, 2, 399));
  add(start);
  add(event(Kind::kEnd, 2, 600, "", hash_of("2")));
  complete();
  events_.back().fence = 2;
  expect_broken("rule 5");
  EXPECT_EQ(report().overlaps, 1U);
  events_[2].until = 400;  // had the lease ended by then, it would be as it must be
  EXPECT_TRUE(report().broken.empty()) << to_string(report());
  EXPECT_EQ(report().overlaps, 1U);
  EXPECT_EQ(report().repeated, 1U);
  Event renewed = event(Kind::kRenew, 1, 300);
  renewed.until = 401;
  add(renewed);
  expect_broken("rule 5");
}

TEST_F(CheckerTest, TellsInOrderWhatHappenedToAJobOfWhichARuleIsBroken) {
  complete();
  EXPECT_TRUE(report().stories.empty());
  add(event(Kind::kClaim, 1, 0));
  add(event(Kind::kBeatStale, 1, 7));
  const std::string job = "job " + std::to_string(value(id_)) + ", ";
  EXPECT_EQ(
      report().stories,
      (std::vector<std::string>{
          job + "0 us: claim fence 1", job + "2 us: ack fence 0, r1",
          job + "3 us: claim fence 1, lease until 1000 us", job + "4 us: start fence 1",
          job + "5 us: end fence 1", job + "6 us: applied fence 1, completed"}));
}

TEST_F(CheckerTest, SeesAnAttemptTooMany) {
  complete();
  events_[3].attempt = 26;
  expect_broken("rule 6");
}

TEST_F(CheckerTest, SeesWhatIsStillRunning) { expect_broken("rule 7"); }

TEST_F(CheckerTest, SeesAnotherResult) {
  complete("3");
  expect_broken("rule 8");
}

TEST_F(CheckerTest, SeesAnotherPayload) {
  complete();
  events_[0].hash = hash_of("[2]");
  expect_broken("rule 8");
  events_[0].hash = hash_of("[1]");
  events_[3].hash = hash_of("[2]");
  expect_broken("rule 8");
}

// Of two jobs of one key, of which one may run.
TEST(CheckerKeysTest, SeesOneTooManyOfALimit) {
  using std::chrono_literals::operator""h;
  const auto store = make_memory_store({});
  std::vector<Event> events;
  for (std::uint64_t i = 0; i < 2; ++i) {
    NewJob job;
    job.kind = "work";
    job.request_id = "r" + std::to_string(i);
    job.limit = {"k", 1};
    const auto in = store->insert({&job, 1}, 1h).at(0).value();
    const auto run = store->claim({&*in.ticket, 1}, "w", i + 1, 1h).value().at(0).value();
    Finish finish;
    finish.lease = run.lease;
    ASSERT_TRUE(store->finish({&finish, 1}).at(0));
    const auto at = static_cast<std::int64_t>(i);
    for (const auto& [kind, time] : {std::pair{Kind::kAsk, 0},
                                     std::pair{Kind::kClaim, 1},
                                     {Kind::kStart, 2},
                                     {Kind::kEnd, 10}}) {
      Event e;
      e.kind = kind;
      e.time = 20 * at + time;
      e.key = kind == Kind::kAsk ? job.request_id : "";
      e.hash = hash_of("");
      if (kind == Kind::kClaim) e.until = 1'000;
      if (kind != Kind::kAsk) e.id = value(run.lease.id);
      if (kind != Kind::kAsk) e.fence = value(run.lease.fence);
      events.push_back(e);
    }
  }
  EXPECT_TRUE(check(*store, events)->broken.empty());
  EXPECT_EQ(check(*store, events)->limited, 2U);
  events[3].time = 23;  // the first ended when the second had begun
  const auto broken = check(*store, events)->broken;
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_TRUE(broken[0].starts_with("rule 10, job 2: ")) << broken[0];
  events[1].until = 22;  // had its lease ended by then, it would be as it must be
  EXPECT_TRUE(check(*store, events)->broken.empty());
}

TEST(CheckerKeysTest, SeesOneTooManyOfARate) {
  using namespace std::chrono_literals;
  std::vector<JobRecord> rows(3);
  for (std::size_t i = 0; i < 3; ++i) {
    rows[i].id = JobId{i + 1};
    rows[i].state = State::kCompleted;
    rows[i].rate = Rate{"k", 2, 10s};
  }
  rows[0].started = Time(12s);  // its second attempt, and written down as such, too
  for (const auto at : {1s, 12s}) rows[0].attempts.emplace_back().started = Time(at);
  rows[1].started = Time(5s);
  rows[2].started = Time(15s);
  std::vector<std::uint64_t> broken;
  const auto tell = [&](int rule, std::uint64_t id, const std::string& text) {
    EXPECT_EQ(rule, 11) << text;
    broken.push_back(id);
  };
  check_rates(rows, tell);
  EXPECT_TRUE(broken.empty()) << "a start that is a period ago counts no more";
  rows[2].started = Time(15s) - 1us;
  check_rates(rows, tell);
  EXPECT_EQ(broken, std::vector<std::uint64_t>{3});
}

class EventLogTest : public testing::Test {
 protected:
  EventLogTest() {
    std::string name =
        (std::filesystem::temp_directory_path() / "carrel-events-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder " + name);
    folder_ = name;
  }
  ~EventLogTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path file() const { return folder_ / "log.events"; }
  std::filesystem::path folder_;
};

TEST_F(EventLogTest, ReadsWhatManyWrote) {
  {
    std::vector<std::jthread> writers;
    for (std::uint64_t w = 0; w < 4; ++w) {
      writers.emplace_back([this, w] {
        EventLog log = EventLog::open(file()).value();
        for (std::uint64_t i = 0; i < 250; ++i) {
          Event e;
          e.kind = Kind::kStart;
          e.id = w * 1'000 + i;
          e.fence = ~std::uint64_t{0};
          e.hash = hash_of(std::to_string(e.id));
          e.until = -5;
          e.key = i % 2 == 0 ? "key-" + std::to_string(i) : "";
          log.append(e);
        }
      });
    }
  }
  const auto events = read_events(file()).value();
  ASSERT_EQ(events.size(), 1'000U);
  for (const Event& e : events) {
    EXPECT_EQ(e.kind, Kind::kStart);
    EXPECT_EQ(e.fence, ~std::uint64_t{0});
    EXPECT_EQ(e.hash, hash_of(std::to_string(e.id)));
    EXPECT_EQ(e.until, -5);
    EXPECT_GT(e.time, 0);
    EXPECT_EQ(e.key, e.id % 1'000 % 2 == 0 ? "key-" + std::to_string(e.id % 1'000) : "");
  }
}

TEST_F(EventLogTest, NamesTheLineThatIsNoEvent) {
  EventLog log = EventLog::open(file()).value();
  log.append({});
  std::ofstream(file(), std::ios::app) << "start 1 2\n";
  const auto events = read_events(file());
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().code, Code::kCorrupt);
  EXPECT_NE(events.error().message.find("log.events:2:"), std::string::npos)
      << events.error().message;
  EXPECT_EQ(read_events(folder_ / "none").error().code, Code::kNotFound);
  EXPECT_FALSE(EventLog::open(folder_ / "no" / "folder"));
}

TEST_F(EventLogTest, OfABeatOnlyWhatIsRenewedIsWritten) {
  class Holding final : public StoreWrapper {
   public:
    using StoreWrapper::StoreWrapper;
    Result<std::vector<Pulse>> beat(std::string_view, std::uint64_t,
                                    std::span<const Beat>, bool, Duration) override {
      return std::vector{Pulse::kHeld, Pulse::kCancel, Pulse::kStale};
    }
  };
  RecordingStore store(std::make_unique<Holding>(make_memory_store({})),
                       std::make_shared<EventLog>(EventLog::open(file()).value()));
  std::vector<Beat> beats(3);
  for (std::size_t i = 0; i < beats.size(); ++i) beats[i].lease.id = JobId{i + 1};
  ASSERT_TRUE(store.beat("w", 0, beats, true, std::chrono::seconds(1)));
  const auto events = read_events(file()).value();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Kind::kRenew);
  EXPECT_EQ(events[0].id, 2U);
  EXPECT_EQ(events[1].kind, Kind::kBeatStale);
  EXPECT_EQ(events[1].id, 3U);
}

TEST(FaultPlan, HappensInTheCallsThatItIsArmedFor) {
  FaultPlan plan;
  EXPECT_FALSE(plan.pass(FaultPoint::kAfterClaimCommit));
  plan.arm(FaultPoint::kAfterClaimCommit, FaultMode::kError, 2, 2);
  std::string seen;
  for (int i = 0; i < 6; ++i) {
    const auto error = plan.pass(FaultPoint::kAfterClaimCommit);
    EXPECT_FALSE(plan.pass(FaultPoint::kBeforeClaimCommit));
    seen += error ? 'x' : '.';
    if (error) {
      EXPECT_EQ(error->code, Code::kUnavailable);
      EXPECT_NE(error->message.find("after_claim_commit"), std::string::npos);
    }
  }
  EXPECT_EQ(seen, "..xx..");
  EXPECT_EQ(plan.happened(FaultPoint::kAfterClaimCommit), 2U);
  plan.arm(FaultPoint::kAfterClaimCommit, FaultMode::kError);
  plan.disarm(FaultPoint::kAfterClaimCommit);
  EXPECT_FALSE(plan.pass(FaultPoint::kAfterClaimCommit));
}

TEST(FaultPlan, KillsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        FaultPlan plan;
        plan.arm(FaultPoint::kBeforeFinishCommit, FaultMode::kKill);
        plan.pass(FaultPoint::kBeforeFinishCommit);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(FaultPlan, PointsHaveNames) {
  for (std::size_t i = 0; i < kFaultPointCount; ++i) {
    const auto point = static_cast<FaultPoint>(i);
    EXPECT_EQ(parse_fault_point(to_string(point)), point);
  }
  EXPECT_FALSE(parse_fault_point("at_lunch"));
}

}  // namespace
}  // namespace carrel::conformance
