// Calls that are asked again because their connection was lost before the answer.
#include "repeats.h"

#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "../../fault/tcp_proxy.h"
#include "../sql/sqlite_files.h"
#include "broker_case.h"

namespace carrel::zmq {
namespace {

using fault::TcpProxy;
using testing::ElementsAre;
using testing::SizeIs;

// What a store has carried out. Threads: safe.
class Carried {
 public:
  // After the first: the broker's answer waits for it.
  void after_first(std::function<void()> then) {
    const std::lock_guard lock(mutex_);
    after_first_ = std::move(then);
  }
  int calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  void count() {
    std::function<void()> then;
    {
      const std::lock_guard lock(mutex_);
      if (calls_++ == 0) then = after_first_;
    }
    if (then) then();
  }

 private:
  mutable std::mutex mutex_;
  std::function<void()> after_first_;
  int calls_ = 0;
};

// Counts beats, finishes, and enqueues of a job that says so.
class CarryingStore final : public conformance::StoreWrapper {
 public:
  CarryingStore(Carried& carried, bool blocks)
      : StoreWrapper(make_memory_store({})), carried_(carried), blocks_(blocks) {}
  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = blocks_;
    return traits;
  }
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override {
    return told(StoreWrapper::insert(jobs, deadline), jobs[0].request_id == "counts");
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    return told(StoreWrapper::beat(worker, settled, beats, renew, lease));
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    return told(StoreWrapper::finish(runs));
  }

 private:
  template <class Answer>
  Answer told(Answer answer, bool counts = true) {
    if (counts) carried_.count();
    return answer;
  }

  Carried& carried_;
  const bool blocks_;
};

// A client whose connection is cut when the store has carried out the first call that
// counts, and before that is answered.
struct CutOff {
  CutOff() {
    BrokerOptions options;
    options.sweep = false;
    broker = test::start_broker(std::make_unique<CarryingStore>(carried, false), options);
    const std::string& at = broker->endpoints().at(0);
    proxy.emplace(static_cast<std::uint16_t>(std::stoi(at.substr(at.rfind(':') + 1))));
    carried.after_first([this] {
      proxy->set(TcpProxy::Mode::kCut);
      lost.get_future().wait();
      proxy->set(TcpProxy::Mode::kPass);
    });
    BackendOptions told;
    told.log = [this, once = std::make_shared<std::atomic<bool>>()](
                   LogLevel, std::string_view text) {
      if (text.find("the connection was lost") == text.npos) return;
      if (!once->exchange(true)) lost.set_value();
    };
    const std::string url = "zmq+tcp://127.0.0.1:" + std::to_string(proxy->port());
    store = test::open_store(url + "?timeout=1m", told).value();
  }
  Lease run() {
    test::insert_jobs(*store, 1);
    const auto runs = store->claim_source()->claim({{}, test::kWork, 1}, "w", 1, 1h, 0s);
    return runs.value().at(0).lease;
  }

  Carried carried;
  std::promise<void> lost;
  std::unique_ptr<Broker> broker;
  std::optional<TcpProxy> proxy;
  std::unique_ptr<Store> store;
};

TEST(ZmqRepeats, TheLogOfABeatIsStoredOnce) {
  CutOff it;
  Beat beat;
  beat.lease = it.run();
  beat.log = "a line\n";
  const auto pulses = it.store->beat("w", 1, {&beat, 1}, true, 1h);
  ASSERT_TRUE(pulses) << pulses.error().message;
  EXPECT_THAT(*pulses, ElementsAre(Pulse::kAlive));
  EXPECT_EQ(it.store->monitor().job(beat.lease.id).value().log, "a line\n");
  EXPECT_EQ(it.carried.calls(), 1);
}

TEST(ZmqRepeats, AnEndIsAnsweredAsTheFirstTime) {
  CutOff it;
  Finish end;
  end.lease = it.run();
  end.verdict = Verdict::kInterrupted;
  const auto answers = it.store->finish({&end, 1});
  ASSERT_TRUE(answers.at(0)) << answers[0].error().message;
  EXPECT_EQ(answers[0]->kind, Finished::Kind::kApplied);
  EXPECT_EQ(answers[0]->state, State::kAvailable);
  EXPECT_EQ(it.carried.calls(), 1);
}

TEST(ZmqRepeats, AnEnqueueIsAnsweredAsTheFirstTime) {
  CutOff it;
  const NewJob job = test::work("{}", "counts");
  const auto answers = it.store->insert({&job, 1}, 1min);
  ASSERT_TRUE(answers.at(0)) << answers[0].error().message;
  EXPECT_FALSE(answers[0]->existed);
  EXPECT_EQ(it.carried.calls(), 1);
}

// The first stays with the store until it is opened.
struct Shut {
  Shut() {
    carried.after_first([open = opened.get_future().share()] { open.wait(); });
  }
  Carried carried;
  std::promise<void> opened;
};
class RepeatsTest : private Shut, public BrokerTest {
 protected:
  RepeatsTest() : BrokerTest(small(), std::make_unique<CarryingStore>(carried, true)) {}
  static BrokerOptions small() {
    BrokerOptions options;
    options.window = 1;
    return options;
  }
  // Says that it has read what WELCOME was.
  static std::string frame_of(std::uint64_t id, std::uint64_t received = 1) {
    Enqueue enqueue = BrokerTest::enqueue();
    enqueue.jobs[0].request_id = "counts";
    std::string frame = encode(enqueue);
    stamp(frame, id, received);
    return frame;
  }
  static void expect_added(RawPeer& peer) {
    const auto answer = peer.expect<Enqueue::Answer>();
    ASSERT_TRUE(answer);
    ASSERT_THAT(answer->value, SizeIs(1));
    ASSERT_TRUE(answer->value[0]);
    EXPECT_FALSE(answer->value[0]->existed);
  }
  void wait_for_requests(std::uint64_t count) const {
    health_until([=](const BrokerHealth& h) { return h.requests == count; });
  }
  using Shut::carried;
  using Shut::opened;
};

TEST_F(RepeatsTest, AskedAgainWhileItIsUnderWayItIsAnsweredOnce) {
  RawPeer before = peer();
  ASSERT_TRUE(before.greet("same"));
  before.send(frame_of(7));
  wait_for_requests(1);
  RawPeer after = peer();
  ASSERT_TRUE(after.greet("same"));
  after.send(frame_of(7));
  after.send(frame_of(7));  // nor does a client gain by it that asks too often
  wait_for_requests(3);
  EXPECT_EQ(broker_->health().in_flight, 1U);
  opened.set_value();
  expect_added(after);
  EXPECT_EQ(carried.calls(), 1);
  after.send(frame_of(8, 2));
  const auto next = after.expect<Enqueue::Answer>();
  ASSERT_TRUE(next) << "there is room in its window again";
  EXPECT_TRUE(next->value.at(0)->existed);
}

TEST_F(RepeatsTest, AnAnswerIsGivenAgainUntilItIsRead) {
  opened.set_value();
  RawPeer before = peer();
  ASSERT_TRUE(before.greet("same"));
  before.send(frame_of(7));
  expect_added(before);  // which nobody has told the broker
  RawPeer other = peer();
  ASSERT_TRUE(other.greet("other"));
  other.send(frame_of(7));
  ASSERT_TRUE(other.expect<Enqueue::Answer>());
  EXPECT_EQ(carried.calls(), 2) << "another client's ids are its own";
  RawPeer after = peer();
  ASSERT_TRUE(after.greet("same"));
  after.send(frame_of(7));
  expect_added(after);
  EXPECT_EQ(carried.calls(), 2);
  after.send(frame_of(7, 2));
  const auto anew = after.expect<Enqueue::Answer>();
  ASSERT_TRUE(anew);
  EXPECT_TRUE(anew->value.at(0)->existed);
  EXPECT_EQ(carried.calls(), 3) << "what was read is not remembered";
}

CallPtr call_of(const std::string& client, std::uint64_t id) {
  auto call = std::make_shared<Call>();
  call->session = std::make_shared<Session>();
  call->session->client = client;
  call->id = id;
  return call;
}

TEST(Repeats, AnswersAreForgottenByTheirAge) {
  Repeats repeats(1 << 20);
  const Clock::time_point start{};
  const CallPtr old = call_of("a", 1);
  const CallPtr young = call_of("a", 2);
  const CallPtr under_way = call_of("a", 3);
  for (const CallPtr& call : {old, young, under_way}) repeats.begin(call);
  repeats.answered(*young, "young", start + 1s);
  EXPECT_EQ(repeats.find("a", 1)->under_way, old);
  repeats.answered(*old, "old", start + 2s);
  repeats.forget_old(start + Repeats::kAge + 1s);
  EXPECT_EQ(repeats.find("a", 2), nullptr);
  ASSERT_NE(repeats.find("a", 1), nullptr);
  EXPECT_EQ(repeats.find("a", 1)->answer, "old");
  EXPECT_EQ(repeats.find("a", 1)->under_way, nullptr);
  repeats.forget_old(start + 2 * Repeats::kAge);
  EXPECT_EQ(repeats.find("a", 1), nullptr);
  EXPECT_EQ(repeats.bytes(), 0U);
  EXPECT_NE(repeats.find("a", 3), nullptr) << "however long it takes";
}

TEST(Repeats, OfAnswersThatAreTooManyTheOldestAreForgotten) {
  const std::string answer(1'000, 'x');
  const std::size_t one = answer.size() + Repeats::kOverhead;
  Repeats repeats(3 * one);
  for (std::uint64_t id = 1; id <= 5; ++id) {
    const CallPtr call = call_of(id % 2 == 0 ? "even" : "odd", id);
    repeats.begin(call);
    repeats.answered(*call, answer, {});
    EXPECT_EQ(repeats.bytes(), std::min<std::size_t>(id, 3) * one);
  }
  EXPECT_EQ(repeats.find("odd", 1), nullptr);
  EXPECT_EQ(repeats.find("even", 2), nullptr);
  repeats.read("even", 4);
  EXPECT_EQ(repeats.find("even", 4), nullptr);
  EXPECT_NE(repeats.find("odd", 3), nullptr);
  EXPECT_NE(repeats.find("odd", 5), nullptr);
  EXPECT_EQ(repeats.bytes(), 2 * one);
  const CallPtr huge = call_of("odd", 7);
  repeats.begin(huge);
  repeats.answered(*huge, std::string(4 * one, 'x'), {});
  EXPECT_EQ(repeats.bytes(), 0U);
}

}  // namespace
}  // namespace carrel::zmq
