// A broker whose store fails, and workers that go while it is slow.
#include <carrel/conformance/store_wrapper.h>
#include <gmock/gmock.h>

#include <deque>
#include <future>
#include <mutex>
#include <utility>

#include "../sql/sqlite_files.h"
#include "broker_case.h"

namespace carrel::zmq {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FullStore final : public conformance::StoreWrapper {
 public:
  FullStore() : StoreWrapper(make_memory_store({})) {}
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration /*deadline*/) override {
    return std::vector<Result<Inserted>>(jobs.size(), full());
  }
  Result<Swept> sweep(std::size_t /*max*/) override { return full(); }

 private:
  static tl::unexpected<Error> full() {
    return fail(Code::kUnavailable, "the disk is full", "test");
  }
};

class Lines {
 public:
  LogFn log() {
    return [this](LogLevel, std::string_view line) {
      const std::lock_guard lock(mutex_);
      if (lines_.empty()) first_.set_value();
      lines_.emplace_back(line);
    };
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  bool has_one() {
    return first_.get_future().wait_for(20s) == std::future_status::ready;
  }

 private:
  std::mutex mutex_;
  std::promise<void> first_;
  std::vector<std::string> lines_;
};

TEST(BrokerTrouble, OfAStoreIsLoggedOnce) {
  Lines lines;
  BrokerOptions options;
  options.sweep = false;
  options.log = lines.log();
  const auto broker = test::start_broker(std::make_unique<FullStore>(), options);
  const auto store = test::open_store(test::url_of(*broker)).value();
  const NewJob job = test::work();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(store->insert({&job, 1}, 1s).at(0).error().code, Code::kUnavailable);
  }
  EXPECT_THAT(lines.all(), ElementsAre(HasSubstr("the disk is full")));
}

TEST(BrokerTrouble, OfItsOwnSweepIsLogged) {
  Lines lines;
  BrokerOptions options;
  options.log = lines.log();
  const auto broker = test::start_broker(std::make_unique<FullStore>(), options);
  EXPECT_TRUE(lines.has_one()) << "nobody else hears of it";
}

void send_garbage(RawPeer& peer) {
  for (int i = 0; i < 10; ++i) peer.send("garbage");
}
void expect_malformed(const Broker& broker, std::uint64_t count) {
  while (broker.health().malformed < count) std::this_thread::yield();
}

TEST(BrokerTrouble, WhatAClientIsCalledIsNoLineOfTheLog) {
  Lines lines;
  BrokerOptions options;
  options.log = lines.log();
  const auto broker = test::start_broker(nullptr, options);
  RawPeer peer(broker->endpoints()[0]);
  Hello hello;
  hello.client = "peer";
  hello.name = "x\nerror: \x1b[31m\xc2\x9b";
  hello.heartbeat = 60s;
  peer.ask(hello);
  ASSERT_TRUE(peer.expect<Welcome>());
  send_garbage(peer);
  expect_malformed(*broker, 10);
  EXPECT_THAT(lines.all(), ElementsAre(HasSubstr("x?error: ?[31m?? sends")));
}

TEST(BrokerTrouble, PeersThatSendNoMessagesFillNoLog) {
  Lines lines;
  BrokerOptions options;
  options.log = lines.log();
  const auto begun = std::chrono::steady_clock::now();
  const auto broker = test::start_broker(nullptr, options);
  std::deque<RawPeer> peers;
  for (int i = 0; i < 100; ++i) send_garbage(peers.emplace_back(broker->endpoints()[0]));
  expect_malformed(*broker, 1'000);
  const auto seconds = (std::chrono::steady_clock::now() - begun) / 1s;
  EXPECT_LE(lines.all().size(), 1U + static_cast<std::size_t>(seconds));
}

struct SlowGate {
  std::promise<void> reached;
  std::promise<void> opened;
};

// Keeps the claims of the worker "slow".
class SlowStore final : public conformance::StoreWrapper {
 public:
  explicit SlowStore(SlowGate& gate) : StoreWrapper(make_memory_store({})), gate_(gate) {}
  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = true;
    return traits;
  }
  std::unique_ptr<ClaimSource> claim_source() override {
    return std::make_unique<Source>(StoreWrapper::claim_source(), gate_);
  }

 private:
  class Source final : public ClaimSource {
   public:
    Source(std::unique_ptr<ClaimSource> real, SlowGate& gate)
        : real_(std::move(real)), gate_(gate) {}
    Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                       std::uint64_t number, Duration lease,
                                       Duration wait) override {
      if (worker == "slow" && !std::exchange(was_slow_, true)) {
        gate_.reached.set_value();
        gate_.opened.get_future().wait();
      }
      return real_->claim(demand, worker, number, lease, wait);
    }
    void interrupt() noexcept override { real_->interrupt(); }

   private:
    const std::unique_ptr<ClaimSource> real_;
    SlowGate& gate_;
    bool was_slow_ = false;
  };
  SlowGate& gate_;
};

class SlowTest : protected SlowGate, public BrokerTest {
 protected:
  SlowTest()
      : BrokerTest(seldom(), std::make_unique<SlowStore>(static_cast<SlowGate&>(*this))) {
  }
  ~SlowTest() override { open(); }  // the broker waits for its store
  void open() {
    if (!std::exchange(is_open_, true)) opened.set_value();
  }
  static BrokerOptions seldom() {
    BrokerOptions options;
    options.poll = BrokerOptions::kLongestPoll;
    return options;
  }
  static Take take_of(std::string worker, std::string kind) {
    Take take = BrokerTest::take(60s);
    take.worker = std::move(worker);
    take.kinds = {std::move(kind)};
    return take;
  }
  void expect_waiting(std::size_t count) const {
    health_until([&](const BrokerHealth& h) { return h.waiting == count; });
  }

 private:
  bool is_open_ = false;
};

TEST_F(SlowTest, AJobThatAWorkerWasCalledForBeforeItLeftGoesToTheNext) {
  RawPeer first = peer();
  ASSERT_TRUE(first.greet("first"));
  first.ask(take_of("first", "work"));
  expect_waiting(1);
  RawPeer second = peer();
  ASSERT_TRUE(second.greet("second"));
  second.ask(take_of("second", "work"));
  expect_waiting(2);
  RawPeer slow = peer();
  ASSERT_TRUE(slow.greet("slow"));
  slow.ask(take_of("slow", "other"));
  reached.get_future().wait();
  ASSERT_TRUE(slow.answer_to(enqueue()));
  expect_waiting(1);  // the first is called, and stands behind the slow one
  first.ask(Bye{});
  health_until([](const BrokerHealth& h) { return h.sessions == 2; });
  open();
  const auto taken = second.expect<Take::Answer>();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->value.size(), 1U);
}

}  // namespace
}  // namespace carrel::zmq
