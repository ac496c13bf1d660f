// What a broker does with peers that keep to the protocol, and with those that do not.
#include <gmock/gmock.h>

#include "broker_case.h"

namespace carrel::zmq {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

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
  EXPECT_THAT(refused->error.message, HasSubstr("version " + std::to_string(kVersion)));
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

TEST_F(BrokerTest, AnIdThatIsUnderWayIsNoOtherRequest) {
  RawPeer worker = this->peer();
  ASSERT_TRUE(worker.greet());
  std::string frame = encode(take(60s));
  stamp(frame, 7, 1);
  worker.send(frame);
  worker.send(frame);
  const auto failed = worker.expect<Failed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->error.code, Code::kInvalid);
  EXPECT_EQ(broker_->health().waiting, 1U) << "the first goes on";
  EXPECT_EQ(broker_->health().malformed, 1U);
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
