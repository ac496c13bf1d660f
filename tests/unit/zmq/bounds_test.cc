// What a broker keeps for its clients has bounds, whatever they do.
#include <carrel/conformance/store_wrapper.h>
#include <gmock/gmock.h>

#include <atomic>
#include <deque>
#include <future>
#include <utility>

#include "../sql/sqlite_files.h"
#include "broker_case.h"
#include "hosted.h"

namespace carrel::zmq {
namespace {

class SmallBrokerTest : public BrokerTest {
 protected:
  static BrokerOptions small() {
    BrokerOptions options;
    options.window = 4;
    options.max_unread = 64 << 10;
    return options;
  }
  SmallBrokerTest() : BrokerTest(small()) {}
  // One answer leaves room for another, and two are too much for who has not read them.
  static std::string long_payload() { return std::string(60 << 10, 'x'); }
  // What asks for such a job, of a peer that has greeted.
  static JobAsk ask_for_long(RawPeer& peer) {
    EXPECT_TRUE(peer.greet());
    const auto in = peer.answer_to(enqueue(1, long_payload()));
    EXPECT_TRUE(in);
    JobAsk job;
    if (in) job.id = in->value.at(0)->id;
    return job;
  }
};

TEST_F(SmallBrokerTest, WhoDoesNotReadIsAnsweredNoMore) {
  RawPeer peer = this->peer();
  const JobAsk job = ask_for_long(peer);
  // It says every time that it has read nothing since.
  for (int i = 0; i < 50; ++i) peer.ask(job);
  // One answer leaves room for another; those of a whole window may be under way by then.
  health_until([](const BrokerHealth& h) { return h.dropped + h.busy >= 50 - 1 - 4; });
  while (!peer.receive(200ms).empty()) {
  }
  EXPECT_TRUE(peer.answer_to(job)) << "once it has read, it is answered again";
}

// Who reads, but has asked for much, is not left without an answer.
TEST_F(SmallBrokerTest, WhoHasMuchToReadIsToldToAskAgain) {
  RawPeer peer = this->peer();
  const JobAsk job = ask_for_long(peer);
  for (int i = 0; i < 2; ++i) peer.ask(job);
  health_until([](const BrokerHealth& h) { return h.requests == 3 && h.in_flight == 0; });
  peer.ask(job);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(peer.expect<JobAsk::Answer>());
  EXPECT_TRUE(peer.expect<Busy>());
  EXPECT_TRUE(peer.answer_to(job));
  EXPECT_EQ(broker_->health().dropped, 0U);
}

// Threads of one client that all ask for long records.
TEST_F(SmallBrokerTest, LongRecordsComeToWhoeverReadsThem) {
  const auto store = test::open_store(test::url_of(*broker_, "?timeout=5s")).value();
  const NewJob job = test::work(long_payload());
  const JobId id = store->insert({&job, 1}, 5s).at(0).value().id;
  std::vector<std::future<void>> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(std::async(std::launch::async, [&] {
      for (int n = 0; n < 50; ++n) {
        const auto record = store->monitor().job(id);
        ASSERT_TRUE(record) << record.error().message;
      }
    }));
  }
  for (auto& reader : readers) reader.get();
}

TEST_F(SmallBrokerTest, WhatWaitsForOneClientHasABound) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  constexpr std::size_t kNames = 100;
  Take large = take(60s);
  for (std::size_t i = 0; i < kNames; ++i) {
    large.kinds.push_back(std::string(96, 'k') + std::to_string(i));
  }
  const std::size_t fit = (64 << 10) / encode(large).size();
  for (int i = 0; i < 20; ++i) peer.ask(large);
  const auto health =
      health_until([](const BrokerHealth& h) { return h.requests == 20; });
  EXPECT_EQ(health.waiting, fit);
  EXPECT_EQ(health.busy, 20 - fit);
  // What is over makes room again.
  for (std::size_t i = fit; i < 20; ++i) EXPECT_TRUE(peer.expect<Busy>());
  Abandon abandon;
  abandon.request = 2;  // after HELLO
  peer.ask(abandon);
  EXPECT_TRUE(peer.expect<Take::Answer>());
  peer.ask(large);
  health_until([](const BrokerHealth& h) { return h.requests == 21; });
  EXPECT_EQ(broker_->health().waiting, fit);
}

// Counts what is given back to it.
class ReturnsStore final : public conformance::StoreWrapper {
 public:
  explicit ReturnsStore(std::atomic<std::size_t>& returned)
      : StoreWrapper(make_memory_store({})), returned_(returned) {}
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    returned_ += runs.size();
    return StoreWrapper::finish(runs);
  }

 private:
  std::atomic<std::size_t>& returned_;
};

struct Returns {
  std::atomic<std::size_t> returned{0};
};
class LargeJobsTest : private Returns, public BrokerTest {
 protected:
  LargeJobsTest() : BrokerTest({}, std::make_unique<ReturnsStore>(Returns::returned)) {}
  using Returns::returned;
};

TEST_F(LargeJobsTest, WhatDoesNotFitIntoAnAnswerIsNotClaimedAgainAndAgain) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());  // takes a MiB
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(peer.answer_to(enqueue(1, std::string(400 << 10, 'x'))));
  }
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto taken = peer.answer_to(take(0s, 6, number));
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->value.size(), 2U);
  }
  EXPECT_EQ(returned.load(), 4U) << "of the first";
}

TEST_F(LargeJobsTest, NorIsWhatTicketsAskFor) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  ClaimAsk claim;
  claim.worker = "raw-worker";
  claim.claim_number = 1;
  claim.lease = 1h;
  for (int i = 0; i < 6; ++i) {
    const auto in = peer.answer_to(enqueue(1, std::string(400 << 10, 'x')));
    ASSERT_TRUE(in);
    claim.tickets.push_back(in->value.at(0)->ticket.value());
  }
  while (!claim.tickets.empty()) {
    const auto answer = peer.answer_to(claim);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->value.size(), 2U);
    EXPECT_EQ(answer->value[1]->lease.id, claim.tickets[1].id);
    claim.tickets.erase(claim.tickets.begin(), claim.tickets.begin() + 2);
  }
  EXPECT_EQ(returned.load(), 4U) << "of the first";
}

// Nor has what was given back begun, of jobs that are told how many may.
TEST_F(LargeJobsTest, WhatDoesNotFitIntoAnAnswerUsesUpNoRate) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  Enqueue jobs = enqueue(1, std::string(400 << 10, 'x'));
  jobs.jobs[0].rate = Rate{"k", 6, 24h};
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(peer.answer_to(jobs));
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto taken = peer.answer_to(take(0s, 6, number));
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->value.size(), 2U) << number;
  }
  EXPECT_EQ(returned.load(), 4U) << "of the first";
}

// However many are asked for: each may be as long as a frame.
TEST_F(LargeJobsTest, OneClaimIsOfSoManyJobsAtMost) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  const auto in = peer.answer_to(enqueue(200));
  ASSERT_TRUE(in);
  const auto taken = peer.answer_to(take(0s, 100));
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->value.size(), 64U);
  ClaimAsk claim;
  claim.worker = "raw-worker";
  claim.claim_number = 2;
  claim.lease = 1h;
  for (const auto& one : in->value) claim.tickets.push_back(one->ticket.value());
  const auto claimed = peer.answer_to(claim);
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->value.size(), 64U) << "and the rest when it is asked for";
  EXPECT_EQ(returned.load(), 0U);
}

// Everything but what it is told to let through stays with it until it is opened.
class ShutStore final : public conformance::StoreWrapper {
 public:
  ShutStore(std::shared_future<void> open, std::promise<void>& looked)
      : StoreWrapper(make_memory_store({})), open_(std::move(open)), looked_(looked) {}
  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = true;
    return traits;
  }
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override {
    open_.wait();
    return StoreWrapper::insert(jobs, deadline);
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker, std::uint64_t number,
                                         Duration lease) override {
    open_.wait();
    return StoreWrapper::claim(tickets, worker, number, lease);
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    open_.wait();
    return StoreWrapper::finish(runs);
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (!beats.empty()) open_.wait();
    return StoreWrapper::beat(worker, settled_claim, beats, renew, lease);
  }
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override {
    if (!std::exchange(has_looked_, true)) looked_.set_value();
    open_.wait();
    return StoreWrapper::await_final(ids, wait);
  }

 private:
  const std::shared_future<void> open_;
  std::promise<void>& looked_;
  bool has_looked_ = false;
};

struct Gate {
  std::promise<void> opened;
  std::promise<void> looked;  // for ends, the first time
};
class ShutTest : protected Gate, public BrokerTest {
 protected:
  ShutTest()
      : BrokerTest(small(),
                   std::make_unique<ShutStore>(opened.get_future().share(), looked)) {}
  ~ShutTest() override { open(); }  // the broker waits for its store
  void open() {
    if (!std::exchange(is_open_, true)) opened.set_value();
  }
  static BrokerOptions small() {
    BrokerOptions options;
    options.window = 4;
    options.max_unread = 64 << 10;
    options.poll = 1ms;
    return options;
  }
  static BeatAsk beat(std::size_t leases) {
    BeatAsk beat;
    beat.worker = "raw-worker";
    beat.beats.resize(leases);
    beat.lease = 1h;
    return beat;
  }

 private:
  bool is_open_ = false;
};

TEST_F(ShutTest, ABeatWaitsForNoClaimAndNoCommit) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  ClaimAsk claim;
  claim.tickets.resize(1);
  claim.worker = "raw-worker";
  claim.claim_number = 1;
  claim.lease = 1h;
  FinishAsk finish;
  finish.runs.resize(1);
  peer.ask(claim);
  peer.ask(enqueue());
  peer.ask(finish);
  peer.ask(enqueue());
  peer.ask(beat(0));
  EXPECT_TRUE(peer.expect<BeatAsk::Answer>()) << "though the window is full, too";
  EXPECT_EQ(broker_->health().in_flight, 4U);
}

TEST_F(ShutTest, LooksForEndsDoNotGatherWhileTheStoreIsSlow) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  AwaitAsk await;
  await.ids = {JobId{1}};
  await.wait = 60s;
  peer.ask(await);
  const auto polls = std::chrono::steady_clock::now() + 100ms;
  while (std::chrono::steady_clock::now() < polls) {
    ASSERT_LE(broker_->health().in_flight, 2U) << "the client's, and one look";
  }
}

TEST_F(ShutTest, BeatsHaveABoundOfTheirOwn) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  for (int i = 0; i < 20; ++i) peer.ask(beat(1));
  for (int i = 0; i < 20 - 8; ++i) EXPECT_TRUE(peer.expect<Busy>());
  EXPECT_EQ(broker_->health().in_flight, 8U) << "twice the window";
}

// The store has them still, whoever they were for.
TEST_F(ShutTest, WaitsThatAreOverCountUntilTheStoreHasSeenThem) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  AwaitAsk await;
  await.ids = {JobId{1}};
  await.wait = 60s;
  peer.ask(await);
  looked.get_future().wait();  // from here on all others wait behind it
  for (std::uint64_t id = 2; id <= 1'000; ++id) await.ids.push_back(JobId{id});
  await.wait = 1ms;
  const std::size_t fit = (64 << 10) / encode(await).size();
  for (std::size_t i = 0; i < fit; ++i) EXPECT_TRUE(peer.answer_to(await));
  peer.ask(await);
  EXPECT_TRUE(peer.expect<Busy>());
  open();
  health_until([](const BrokerHealth& h) { return h.in_flight == 0; });
  EXPECT_TRUE(peer.answer_to(await));
}

// With a store that blocks, so that requests gather.
struct Files {
  test::TemporaryDirectory directory;
};
class FloodTest : private Files, public BrokerTest {
 protected:
  static BrokerOptions small() {
    BrokerOptions options;
    options.max_in_flight = 1 << 20;
    return options;
  }
  FloodTest() : BrokerTest(small(), test::open_url(directory.file("jobs.db")).value()) {}
};

// Sixteen producers send 4 MiB each and read nothing meanwhile: what the broker holds of
// them stays within its bound.
TEST_F(FloodTest, AFloodIsAnsweredWithBusyAndNotKept) {
  constexpr std::size_t kPayloadBytes = 128 << 10;
  std::deque<RawPeer> peers;
  for (int i = 0; i < 16; ++i) {
    peers.emplace_back(endpoint());
    ASSERT_TRUE(peers.back().greet("flood-" + std::to_string(i)));
  }
  const Enqueue large = enqueue(1, std::string(kPayloadBytes, 'x'));
  for (int round = 0; round < 32; ++round) {
    for (RawPeer& peer : peers) peer.ask(large);
    EXPECT_LE(broker_->health().in_flight_bytes, std::size_t{1} << 20);
  }
  std::size_t answers = 0;
  std::size_t busy = 0;
  for (RawPeer& peer : peers) {
    for (int i = 0; i < 32; ++i) {
      const std::string frame = peer.receive();
      ASSERT_FALSE(frame.empty()) << "every request is answered";
      ++answers;
      busy += head_of(frame)->type == Type::kBusy ? 1 : 0;
    }
  }
  EXPECT_EQ(answers, 16U * 32);
  EXPECT_EQ(busy, broker_->health().busy);
  EXPECT_GT(busy, 0U) << "64 MiB against a bound of one, and a disk behind it";
}

TEST_F(SmallBrokerTest, ATakeOfNothingKeepsNobodyFromTheBroker) {
  RawPeer idle = this->peer();
  ASSERT_TRUE(idle.greet("idle"));
  idle.ask(take(60s, 0));
  ASSERT_TRUE(idle.answer_to(enqueue())) << "so it was begun before";
  RawPeer peer = this->peer();
  EXPECT_TRUE(peer.greet());
}

TEST_F(SmallBrokerTest, NamesAreBounded) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  Take many = take();
  many.kinds.assign(1'025, "k");
  peer.ask(many);
  const auto refused = peer.expect<Failed>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kInvalid);
}

// BUSY says that it was not done, so that it may be asked again whatever it is.
TEST_F(FloodTest, AnEnqueueWithoutANameIsAskedAgainWhereTheBrokerIsBusy) {
  const std::string payload(600 << 10, 'x');  // two of them are too much
  std::vector<std::future<void>> producers;
  for (int i = 0; i < 4; ++i) {
    producers.push_back(std::async(std::launch::async, [&] {
      const auto store = test::open_store(test::url_of(*broker_, "?timeout=60s")).value();
      for (int n = 0; n < 5; ++n) {
        const NewJob job = test::work(payload);
        const auto answer = std::move(store->insert({&job, 1}, 60s).at(0));
        EXPECT_TRUE(answer) << answer.error().message;
      }
    }));
  }
  for (auto& producer : producers) producer.get();
  EXPECT_GT(broker_->health().busy, 0U);
}

}  // namespace
}  // namespace carrel::zmq
