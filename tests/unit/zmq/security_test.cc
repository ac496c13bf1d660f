// Keys, roles, and who gets in without them.
#include <carrel/engine.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "../sql/sqlite_files.h"
#include "curve.h"
#include "hosted.h"
#include "raw_peer.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using test::kWork;

class SecurityTest : public testing::Test {
 protected:
  SecurityTest() {
    write_secret("broker", broker_keys_);
    write_secret("worker", worker_);
    write_secret("producer", producer_);
    write_secret("stranger", stranger_);
    list({{"worker", worker_}, {"producer", producer_}});
    BrokerOptions options;
    options.sweep = false;
    options.secret_file = file("broker.key");
    options.keys_file = file("keys.toml");
    broker_ = test::start_broker(make_memory_store({}), std::move(options));
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  void write_secret(const std::string& name, const KeyPair& keys) const {
    std::ofstream(file(name + ".key")) << "secret = \"" << keys.secret_key << "\"\n";
    chmod(file(name + ".key").c_str(), 0600);
  }
  // Each named by its role.
  void list(const std::vector<std::pair<std::string, KeyPair>>& entries) const {
    std::ofstream out(file("keys.toml"));
    for (const auto& [role, keys] : entries) {
      out << "[" << role << "-" << keys.public_key.substr(0, 8) << "]\nkey = \""
          << keys.public_key << "\"\nrole = \"" << role << "\"\n";
    }
  }
  std::string url(const std::string& who, const std::string& more = {}) const {
    return test::url_of(*broker_, "?server_key=" + broker_keys_.public_key +
                                      "&secret_file=" + file(who + ".key") + more);
  }

  const test::TemporaryDirectory directory_;
  const KeyPair broker_keys_ = new_keys().value();
  const KeyPair worker_ = new_keys().value();
  const KeyPair producer_ = new_keys().value();
  const KeyPair stranger_ = new_keys().value();
  std::unique_ptr<Broker> broker_;
};

TEST_F(SecurityTest, WhoHasAKeyWorks) {
  const auto store = test::open_store(url("worker"));
  ASSERT_TRUE(store) << store.error().message;
  test::insert_jobs(**store, 1);
  auto source = (*store)->claim_source();
  EXPECT_EQ(source->claim({{}, kWork, 1}, "w", 1, 1h, 0s).value().size(), 1U);
}

TEST_F(SecurityTest, WithoutAKeyNobodyGetsIn) {
  const auto store = test::open_store(test::url_of(*broker_, "?timeout=1s"));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kUnavailable);
  EXPECT_THAT(store.error().message, HasSubstr("CURVE"));
  EXPECT_EQ(broker_->health().requests, 0U);
  EXPECT_EQ(broker_->health().malformed, 0U) << "nothing of it reached the broker";
}

TEST_F(SecurityTest, AKeyThatIsNotListedIsToldSo) {
  const auto store = test::open_store(url("stranger"));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kInvalid);
  EXPECT_THAT(store.error().message, HasSubstr("not among its keys"));
}

TEST_F(SecurityTest, TheKeyOfAnotherBrokerIsNotSpokenTo) {
  const auto store = test::open_store(
      test::url_of(*broker_, "?timeout=1s&server_key=" + stranger_.public_key +
                                 "&secret_file=" + file("worker.key")));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kUnavailable);
}

TEST_F(SecurityTest, AProducerIsNoWorker) {
  const auto opened = test::open_store(url("producer"));
  ASSERT_TRUE(opened) << opened.error().message;
  Store& store = **opened;
  const auto ids = test::insert_jobs(store, 1);
  EXPECT_EQ(store.monitor().job(ids[0]).value().state, State::kAvailable);
  auto source = store.claim_source();
  const auto expect_refused = [](const Error& error) {
    EXPECT_EQ(error.code, Code::kInvalid);
    EXPECT_THAT(error.message, HasSubstr("\"producer\""));
    EXPECT_THAT(error.message, HasSubstr("\"worker\""));
  };
  expect_refused(source->claim({{}, kWork, 1}, "w", 1, 1h, 0s).error());
  expect_refused(store.beat("w", 0, {}, false, 1h).error());
  const Finish finish;
  // An end is told again: the key may come back, and the job has run.
  const Error not_stored = store.finish({&finish, 1}).at(0).error();
  EXPECT_EQ(not_stored.code, Code::kUnavailable);
  EXPECT_THAT(not_stored.message, HasSubstr("\"producer\""));
  EXPECT_EQ(store.set_paused("default", true).error().code, Code::kInvalid);
  EXPECT_EQ(store.retry(ids).at(0).error().code, Code::kInvalid);
  EXPECT_EQ(store.monitor().job(ids[0]).value().attempt, 0);
}

TEST_F(SecurityTest, AHoldOfAProducerIsRefusedAtOnceWithTheReason) {
  Config config;
  config.store = url("producer");
  config.role = carrel::Role::kProducer;
  config.log.level = LogLevel::kOff;
  Registry registry = Registry::with_builtins();
  register_zmq(registry);
  Engine engine = std::move(*Engine::open(config, std::move(registry)));
  const auto before = std::chrono::steady_clock::now();
  const auto held = engine.hold(
      "key", 1, [] {}, 30s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kInvalid);
  EXPECT_THAT(held.error().message, HasSubstr("a key of the role \"producer\""));
}

TEST_F(SecurityTest, AWorkerIsNoAdmin) {
  const auto store = test::open_store(url("worker"));
  EXPECT_THAT((*store)->set_paused("default", true).error().message,
              HasSubstr("\"admin\""));
}

TEST_F(SecurityTest, AKeyThatIsTakenAwayEndsItsConnection) {
  const auto store = test::open_store(url("worker"));
  ASSERT_TRUE(store) << store.error().message;
  auto source = (*store)->claim_source();
  list({{"producer", producer_}});
  ASSERT_TRUE(broker_->reload_keys());
  const auto counts = (*store)->monitor().counts();
  ASSERT_FALSE(counts);
  EXPECT_EQ(counts.error().code, Code::kInvalid);
  EXPECT_THAT(counts.error().message, HasSubstr("key"));
  const Finish finish;
  EXPECT_EQ((*store)->finish({&finish, 1}).at(0).error().code, Code::kUnavailable)
      << "what has run is not discarded for it";
  EXPECT_FALSE(test::open_store(url("worker")));
  // And a key that is given back opens the door again, without a restart of either.
  list({{"admin", worker_}});
  ASSERT_TRUE(broker_->reload_keys());
  const auto again = test::open_store(url("worker"));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE((*again)->set_paused("default", true)) << "as an admin now";
}

// A claim that waits was allowed when it was made; the job comes later.
TEST_F(SecurityTest, WhatWaitsForAKeyThatIsTakenAwayGetsNothing) {
  RawPeer worker(broker_->endpoints()[0], &worker_, broker_keys_.public_key);
  ASSERT_TRUE(worker.greet("worker"));
  const auto producer = test::open_store(url("producer"));
  ASSERT_TRUE(producer) << producer.error().message;
  using Entries = std::vector<std::pair<std::string, KeyPair>>;
  const Entries all{{"worker", worker_}, {"producer", producer_}};
  const Entries demoted{{"producer", worker_}, {"producer", producer_}};
  const Entries removed{{"producer", producer_}};
  for (const auto& [entries, code] :
       {std::pair(demoted, Code::kUnavailable), {removed, Code::kInvalid}}) {
    Take take;
    take.kinds = kWork;
    take.max = 1;
    take.worker = "w";
    take.claim_number = 1;
    take.lease = 1h;
    take.wait = 60s;
    worker.ask(take);
    while (broker_->health().waiting == 0) std::this_thread::yield();
    list(entries);
    ASSERT_TRUE(broker_->reload_keys());
    EXPECT_EQ(broker_->health().waiting, 0U);
    EXPECT_EQ(broker_->health().sessions, 1U) << "the producer's";
    const auto refused = worker.expect<Refused>();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->error.code, code) << refused->error.message;
    const auto ids = test::insert_jobs(**producer, 1);
    EXPECT_EQ((*producer)->monitor().job(ids[0]).value().state, State::kAvailable);
    list(all);
    ASSERT_TRUE(broker_->reload_keys());
    worker.begin_again();
    ASSERT_TRUE(worker.greet("worker"));
    const auto jobs = worker.answer_to(take);
    ASSERT_TRUE(jobs);
    EXPECT_EQ(jobs->value.size(), 1U) << "it may again";
  }
}

TEST_F(SecurityTest, AListWithAMistakeChangesNothing) {
  std::ofstream(file("keys.toml")) << "[x]\nkey = \"short\"\nrole = \"worker\"\n";
  const auto reloaded = broker_->reload_keys();
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().message, HasSubstr("[x]: key"));
  EXPECT_TRUE(test::open_store(url("worker")));
}

TEST_F(SecurityTest, ASecretThatOthersMayReadIsNone) {
  chmod(file("worker.key").c_str(), 0644);
  const auto store = test::open_store(url("worker"));
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("chmod 600"));
}

TEST_F(SecurityTest, OffLoopbackWithKeysItStarts) {
  BrokerOptions options;
  options.listen = {"tcp://0.0.0.0:*"};
  options.secret_file = file("broker.key");
  options.keys_file = file("keys.toml");
  EXPECT_TRUE(Broker::start(options, nullptr));
}

// ROUTER gives a name that is free again to whoever asks for it.
TEST_F(SecurityTest, ASessionIsOfItsKeyAndNotOfItsConnectionsName) {
  const std::string endpoint = broker_->endpoints().at(0);
  {
    RawPeer worker(endpoint, &worker_, broker_keys_.public_key, "name");
    ASSERT_TRUE(worker.greet());
  }
  PeekAsk peek;
  peek.kinds = kWork;
  peek.max = 1;
  // Until the broker has seen that the first is gone, it hears the second as nobody.
  for (;;) {
    RawPeer producer(endpoint, &producer_, broker_keys_.public_key, "name");
    producer.ask(peek);
    const std::string frame = producer.receive(200ms);
    if (frame.empty()) continue;
    EXPECT_EQ(head_of(frame)->type, Type::kRefused) << "it has not said HELLO";
    break;
  }
}

}  // namespace
}  // namespace carrel::zmq
