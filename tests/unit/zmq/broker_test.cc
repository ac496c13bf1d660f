// What a broker does with peers that keep to the protocol, and with those that do not.
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include <deque>
#include <thread>

#include "../sql/sqlite_files.h"
#include "curve.h"
#include "hosted.h"
#include "raw_peer.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

class BrokerTest : public testing::Test {
 protected:
  explicit BrokerTest(BrokerOptions options = {},
                      std::unique_ptr<Store> store = make_memory_store({})) {
    options.sweep = false;
    broker_ = test::start_broker(std::move(store), std::move(options));
  }

  const std::string& endpoint() const { return broker_->endpoints().at(0); }
  RawPeer peer() const { return RawPeer(endpoint()); }

  static Enqueue enqueue(std::size_t jobs = 1, std::string payload = "{}") {
    Enqueue enqueue;
    NewJob job;
    job.kind = "work";
    job.payload = std::move(payload);
    enqueue.jobs.assign(jobs, job);
    enqueue.deadline = 10s;
    return enqueue;
  }
  static Take take(Duration wait = Duration{0}, std::uint32_t max = 1,
                   std::uint64_t number = 1) {
    Take take;
    take.kinds = {"work"};
    take.max = max;
    take.worker = "raw-worker";
    take.claim_number = number;
    take.lease = 1h;
    take.wait = wait;
    return take;
  }
  // How often it has to be asked until it says so.
  template <class Until>
  BrokerHealth health_until(Until until) const {
    for (;;) {
      BrokerHealth health = broker_->health();
      if (until(health)) return health;
      std::this_thread::yield();
    }
  }

  std::unique_ptr<Broker> broker_;
};

TEST_F(BrokerTest, HelloIsWelcome) {
  RawPeer peer = this->peer();
  const auto welcome = peer.greet();
  ASSERT_TRUE(welcome);
  EXPECT_TRUE(welcome->hosts_store);
  EXPECT_FALSE(welcome->durable);
  EXPECT_EQ(welcome->role, KeyRole::kAdmin) << "no keys: whoever comes may all";
  EXPECT_GT(welcome->window, 0U);
}

TEST_F(BrokerTest, HelloComesFirst) {
  RawPeer peer = this->peer();
  peer.ask(CountsAsk{});
  const auto refused = peer.expect<Refused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kUnavailable);
  EXPECT_THAT(refused->error.message, HasSubstr("HELLO"));
  EXPECT_TRUE(peer.greet());
}

TEST_F(BrokerTest, AnotherVersionIsToldSo) {
  RawPeer peer = this->peer();
  std::string frame = encode(Hello{});
  frame[3] = 9;
  stamp(frame, 1, 0);
  peer.send(frame);
  const auto refused = peer.expect<Refused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kUnsupported);
  EXPECT_THAT(refused->error.message, HasSubstr("version 1"));
  EXPECT_THAT(refused->error.message, HasSubstr("version 9"));
}

TEST_F(BrokerTest, AJobGoesItsWay) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  const auto in = peer.answer_to(enqueue(3));
  ASSERT_TRUE(in);
  ASSERT_THAT(in->value, SizeIs(3));
  const auto jobs = peer.answer_to(take(0s, 2));
  ASSERT_TRUE(jobs);
  ASSERT_THAT(jobs->value, SizeIs(2));
  FinishAsk finish;
  for (const Claimed& job : jobs->value) finish.runs.emplace_back().lease = job.lease;
  const auto done = peer.answer_to(finish);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->value.at(1)->state, State::kCompleted);
  const auto again = peer.answer_to(finish);
  EXPECT_EQ(again->value.at(0)->kind, Finished::Kind::kAlready);
}

TEST_F(BrokerTest, ATakeWaitsForAJobAndIsAnsweredWhenItComes) {
  RawPeer worker = this->peer();
  RawPeer producer = this->peer();
  ASSERT_TRUE(worker.greet("worker"));
  ASSERT_TRUE(producer.greet("producer"));
  worker.ask(take(60s));
  health_until([](const BrokerHealth& h) { return h.waiting == 1; });
  EXPECT_TRUE(producer.answer_to(enqueue()));
  const auto jobs = worker.expect<Take::Answer>();
  ASSERT_TRUE(jobs);
  EXPECT_THAT(jobs->value, SizeIs(1));
}

TEST_F(BrokerTest, AnAbandonedTakeIsAnsweredAtOnce) {
  RawPeer worker = this->peer();
  ASSERT_TRUE(worker.greet());
  worker.ask(take(60s));
  Abandon abandon;
  abandon.request = worker.last_id();
  worker.ask(abandon);
  const auto jobs = worker.expect<Take::Answer>();
  ASSERT_TRUE(jobs);
  EXPECT_THAT(jobs->value, SizeIs(0));
}

TEST_F(BrokerTest, ABeatEndsTheTakesThatItSettles) {
  RawPeer worker = this->peer();
  ASSERT_TRUE(worker.greet());
  worker.ask(take(60s, 1, 7));
  BeatAsk beat;
  beat.worker = "raw-worker";
  beat.settled_claim = 7;
  beat.lease = 1h;
  worker.ask(beat);
  EXPECT_TRUE(worker.expect<Take::Answer>());
  EXPECT_TRUE(worker.expect<BeatAsk::Answer>());
  // So that this job does not go to a claim that its worker has given up.
  ASSERT_TRUE(worker.answer_to(enqueue()));
  EXPECT_THAT(worker.answer_to(take(0s, 1, 8))->value, SizeIs(1));
}

TEST_F(BrokerTest, ASecondHelloOfAClientEndsItsFirstSession) {
  RawPeer before = this->peer();
  RawPeer after = this->peer();
  ASSERT_TRUE(before.greet("same"));
  before.ask(take(60s));
  health_until([](const BrokerHealth& h) { return h.waiting == 1; });
  ASSERT_TRUE(after.greet("same"));
  EXPECT_EQ(broker_->health().waiting, 0U);
  EXPECT_EQ(broker_->health().sessions, 1U);
  ASSERT_TRUE(after.answer_to(enqueue()));
  before.ask(CountsAsk{});
  const auto refused = before.expect<Refused>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kUnavailable);
}

TEST_F(BrokerTest, GarbageIsCountedAndTenOfItAreEnough) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  std::string half = encode(enqueue());
  half.resize(half.size() / 2);
  stamp(half, 99, 1);
  peer.send(half);
  const auto failed = peer.expect<Failed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->error.code, Code::kInvalid);
  for (int i = 0; i < 20; ++i) peer.send("not a frame");
  health_until([](const BrokerHealth& h) { return h.dropped >= 11; });
  EXPECT_EQ(broker_->health().malformed, 10U);
  peer.ask(CountsAsk{});
  EXPECT_EQ(peer.receive(200ms), "") << "nobody listens";
  RawPeer other = this->peer();
  EXPECT_TRUE(other.greet("other")) << "but to others";
}

TEST_F(BrokerTest, ValuesThatNoStoreBearsAreRefused) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  Enqueue late = enqueue();
  late.jobs[0].delay = Duration::max();
  peer.ask(late);
  EXPECT_EQ(peer.expect<Failed>()->error.code, Code::kInvalid);
  Take endless = take();
  endless.lease = Duration::max();
  peer.ask(endless);
  EXPECT_EQ(peer.expect<Failed>()->error.code, Code::kInvalid);
  endless = take();
  endless.wait = Duration::min();
  EXPECT_TRUE(peer.answer_to(endless)) << "not at all";
}

TEST_F(BrokerTest, EverythingEndsWithTheBroker) {
  RawPeer worker = this->peer();
  ASSERT_TRUE(worker.greet());
  worker.ask(take(60s));
  health_until([](const BrokerHealth& h) { return h.waiting == 1; });
  broker_.reset();
  EXPECT_TRUE(worker.expect<Take::Answer>()) << "sent away with nothing";
}

class SmallBrokerTest : public BrokerTest {
 protected:
  static BrokerOptions small() {
    BrokerOptions options;
    options.window = 4;
    options.max_unread = 64 << 10;
    return options;
  }
  SmallBrokerTest() : BrokerTest(small()) {}
};

TEST_F(SmallBrokerTest, WhoDoesNotReadIsAnsweredNoMore) {
  RawPeer peer = this->peer();
  ASSERT_TRUE(peer.greet());
  const auto in = peer.answer_to(enqueue(1, std::string(60 << 10, 'x')));
  ASSERT_TRUE(in);
  JobAsk job;
  job.id = in->value.at(0)->id;
  // It says every time that it has read nothing since.
  for (int i = 0; i < 50; ++i) peer.ask(job);
  // One answer leaves room for another; those of a whole window may be under way by then.
  health_until([](const BrokerHealth& h) { return h.dropped + h.busy >= 50 - 1 - 4; });
  while (!peer.receive(200ms).empty()) {
  }
  EXPECT_TRUE(peer.answer_to(job)) << "once it has read, it is answered again";
}

// With a store that blocks, so that requests gather.
struct Files {
  test::TemporaryDirectory directory;
};
class FloodTest : private Files, public BrokerTest {
 protected:
  static BrokerOptions small() {
    BrokerOptions options;
    options.max_in_flight = 4 << 20;
    return options;
  }
  FloodTest() : BrokerTest(small(), test::open_url(directory.file("jobs.db")).value()) {}
};

// Sixteen producers send 16 MiB each and read nothing meanwhile: what the broker holds of
// them stays within its bound.
TEST_F(FloodTest, AFloodIsAnsweredWithBusyAndNotKept) {
  constexpr std::size_t kPayloadBytes = 512 << 10;
  std::deque<RawPeer> peers;
  for (int i = 0; i < 16; ++i) {
    peers.emplace_back(endpoint());
    ASSERT_TRUE(peers.back().greet("flood-" + std::to_string(i)));
  }
  const Enqueue large = enqueue(1, std::string(kPayloadBytes, 'x'));
  for (int round = 0; round < 32; ++round) {
    for (RawPeer& peer : peers) peer.ask(large);
    EXPECT_LE(broker_->health().in_flight_bytes, std::size_t{4} << 20);
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
  EXPECT_GT(busy, 0U) << "256 MiB against a bound of 4, and a disk behind it";
}

TEST(BrokerAddress, OffLoopbackItTakesKeys) {
  for (const char* address : {"tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.1:5555"}) {
    BrokerOptions options;
    options.listen = {address};
    const auto broker = Broker::start(options, nullptr);
    ASSERT_FALSE(broker) << address;
    EXPECT_EQ(broker.error().code, Code::kInvalid);
    EXPECT_THAT(broker.error().message, HasSubstr("secret_file"));
  }
}

TEST(BrokerAddress, OneThatIsTakenIsNamed) {
  const auto first = test::start_broker(nullptr);
  BrokerOptions options;
  options.listen = first->endpoints();
  const auto second = Broker::start(options, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kExists);
  EXPECT_THAT(second.error().message, HasSubstr(first->endpoints()[0]));
}

TEST(BrokerAddress, ABrokerOfTicketsOnlySaysSo) {
  const auto broker = test::start_broker(nullptr);
  const auto store = test::open_store(test::url_of(*broker));
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("tickets only"));
  RawPeer peer(broker->endpoints()[0]);
  ASSERT_TRUE(peer.greet());
  peer.ask(CountsAsk{});
  EXPECT_EQ(peer.expect<Failed>()->error.code, Code::kUnsupported);
}

}  // namespace
}  // namespace carrel::zmq
