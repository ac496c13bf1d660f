// What a store behind a broker does when the broker is not as it should be.
#include <carrel/memory.h>
#include <carrel/sql.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>

#include "../sql/sqlite_files.h"
#include "hosted.h"
#include "ipc_lock.h"
#include "raw_peer.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

using test::kWork;

TEST(ZmqUrl, WrongOnesAreExplained) {
  const auto why = [](const std::string& url) {
    const auto store = test::open_store(url);
    EXPECT_FALSE(store) << url;
    if (store) return std::string();
    EXPECT_EQ(store.error().code, Code::kInvalid) << store.error().message;
    return store.error().message;
  };
  EXPECT_THAT(why("zmq+tcp:localhost"), HasSubstr("zmq+tcp://127.0.0.1:5555"));
  EXPECT_THAT(why("zmq+tcp://localhost"), HasSubstr("a port"));
  EXPECT_THAT(why("zmq+tcp://localhost:0"), HasSubstr("a port"));
  EXPECT_THAT(why("zmq+tcp://localhost:99999"), HasSubstr("a port"));
  EXPECT_THAT(why("zmq+tcp://localhost:1/x"), HasSubstr("a port"));
  EXPECT_THAT(why("zmq+ipc:"), HasSubstr("zmq+ipc:///run"));
  EXPECT_THAT(why("zmq+tcp://h:1?timeout=1"), HasSubstr("timeout"));
  EXPECT_THAT(why("zmq+tcp://h:1?timeout=9h"), HasSubstr("1m"));
  EXPECT_THAT(why("zmq+tcp://h:1?lease=9h"), HasSubstr("lease"));
  EXPECT_THAT(why("zmq+tcp://h:1?server_key=abc"), HasSubstr("64"));
  EXPECT_THAT(why("zmq+tcp://h:1?server_key=" + std::string(64, 'a')),
              HasSubstr("belong together"));
}

TEST(ZmqClient, ABrokerThatIsAwayIsUnavailable) {
  const auto store = test::open_store("zmq+tcp://127.0.0.1:1?timeout=300ms");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kUnavailable);
  EXPECT_THAT(store.error().message, HasSubstr("127.0.0.1:1"));
}

class RestartTest : public testing::Test {
 protected:
  void start(std::size_t max_frame = std::size_t{1} << 20) {
    BrokerOptions options;
    options.max_frame = max_frame;
    options.sweep = false;
    // A port that was given back may be somebody else's by the next start.
    options.listen = {endpoint_};
    broker_ = test::start_broker(test::open_url(directory_.file("jobs.db")).value(),
                                 std::move(options));
  }
  std::unique_ptr<Store> open(const std::string& options = {}) const {
    return test::open_store("zmq+" + endpoint_ + options).value();
  }

  const test::TemporaryDirectory directory_;
  const std::string endpoint_ = "ipc://" + directory_.file("broker");
  std::unique_ptr<Broker> broker_;
};

TEST_F(RestartTest, EverythingGoesOnWithTheNextBroker) {
  start();
  const auto store = open();
  const auto ids = test::insert_jobs(*store, 2);
  auto source = store->claim_source();
  const auto runs = source->claim({{}, kWork, 1}, "w", 1, 1h, 0s).value();
  ASSERT_THAT(runs, SizeIs(1));
  broker_.reset();
  start();
  EXPECT_EQ(store->monitor().job(ids[1]).value().state, State::kAvailable);
  Finish finish;
  finish.lease = runs[0].lease;
  EXPECT_EQ(store->finish({&finish, 1}).at(0)->kind, Finished::Kind::kApplied)
      << "a lease outlives the broker that granted it";
  EXPECT_THAT(source->claim({{}, kWork, 1}, "w", 2, 1h, 10s).value(), SizeIs(1));
}

TEST_F(RestartTest, MoreIdsThanARequestHoldsAreCancelledAndRetried) {
  start();
  const auto store = open();
  const auto ids = test::insert_jobs(*store, 2'500);
  const auto cancelled = store->cancel(ids);
  ASSERT_TRUE(cancelled) << cancelled.error().message;
  ASSERT_EQ(cancelled->size(), ids.size());
  EXPECT_THAT(*cancelled, testing::Each(Cancelled::kCancelled));
  const auto retried = store->retry(ids);
  ASSERT_EQ(retried.size(), ids.size());
  for (const auto& answer : retried) EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(RestartTest, AnInsertGivesUpAtItsDeadline) {
  start();
  const auto store = open("?timeout=30s");
  broker_.reset();
  const NewJob job = test::work();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(store->insert({&job, 1}, 100ms).at(0).error().code, Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s);
}

TEST_F(RestartTest, ABrokerThatIsAwayIsNotWaitedForAgainForEachPiece) {
  start();
  const auto store = open("?timeout=1s");
  broker_.reset();
  const std::vector<NewJob> jobs(20, test::work(std::string(700 << 10, 'x')));
  std::vector<Finish> ends(20);
  for (Finish& end : ends) end.result = jobs[0].payload;
  const auto begun = std::chrono::steady_clock::now();
  for (const auto& answer : store->insert(jobs, 60s)) {
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
  }
  for (const auto& answer : store->finish(ends)) {
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s) << "twice, not forty times";
}

TEST_F(RestartTest, WhatMayBeAskedTwiceWaitsForTheNextBroker) {
  start();
  const auto store = open("?timeout=30s");
  const NewJob job = test::work("{}", "named");
  broker_.reset();
  auto answer = std::async(std::launch::async, [&] {
    return store->insert({&job, 1}, 30s).at(0);
  });
  start();
  const auto inserted = answer.get();
  ASSERT_TRUE(inserted) << inserted.error().message;
  EXPECT_FALSE(inserted->existed);
}

TEST_F(RestartTest, CallsEndByTheirDeadline) {
  start();
  const auto store = open("?timeout=200ms");
  auto source = store->claim_source();
  broker_.reset();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(store->sweep(1).error().code, Code::kUnavailable);
  EXPECT_EQ(source->claim({{}, kWork, 1}, "w", 1, 1h, 100ms).error().code,
            Code::kUnavailable);
  EXPECT_EQ(store->await_final(std::vector{JobId{1}}, 100ms).error().code,
            Code::kUnavailable);
  const NewJob job = test::work();
  EXPECT_EQ(store->insert({&job, 1}, 1h).at(0).error().code, Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 60s) << "no call hangs";
}

// Of a broker in the same process that is gone, libzmq tells nothing; but nothing can be
// sent to it any more. So whoever tries hears of it, and does not try again and again
// until the broker has been silent for too long.
TEST(ZmqClient, AConnectionThatTakesNothingAnyMoreIsGivenUp) {
  BrokerOptions at;
  at.listen = {"inproc://that-goes"};
  auto broker = test::start_broker(make_memory_store({}), at);
  std::promise<std::string> why;
  BackendOptions options;
  options.log = [&, told = std::make_shared<std::atomic<bool>>()](LogLevel level,
                                                                  std::string_view text) {
    if (level == LogLevel::kWarn && !told->exchange(true))
      why.set_value(std::string(text));
  };
  const auto store =
      test::open_store(test::url_of(*broker, "?heartbeat=100ms&timeout=1m"), options);
  ASSERT_TRUE(store) << store.error().message;
  broker.reset();
  EXPECT_THAT(why.get_future().get(), HasSubstr("the connection was lost"));
  broker = test::start_broker(make_memory_store({}), at);
  EXPECT_TRUE((*store)->monitor().counts()) << "it comes back, as any other";
}

TEST_F(RestartTest, RowsThatAreTooLargeFailAlone) {
  start();
  const auto store = open();
  const std::vector<NewJob> jobs = {
      test::work("1"), test::work(std::string(2 << 20, 'x')),
      test::work(std::string(900 << 10, 'x')), test::work(std::string(900 << 10, 'x'))};
  auto answers = store->insert(jobs, 30s);
  ASSERT_THAT(answers, SizeIs(4));
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(answers[1].error().code, Code::kTooLarge);
  EXPECT_TRUE(answers[2]);
  EXPECT_TRUE(answers[3]) << "the two are cut into requests that fit";
  EXPECT_EQ(store->monitor().job(answers[3]->id).value().payload.size(), 900U << 10);
  auto source = store->claim_source();
  EXPECT_THAT(source->claim({{}, kWork, 9}, "w", 1, 1h, 0s).value(), SizeIs(3))
      << "what comes back may be longer than a request";
}

TEST_F(RestartTest, TicketsOfLongJobsAreClaimedInSeveralAnswers) {
  start();
  const auto store = open();
  std::vector<Ticket> tickets;
  for (int i = 0; i < 5; ++i) {
    const NewJob job = test::work(std::string(900 << 10, 'x'));
    tickets.push_back(store->insert({&job, 1}, 30s).at(0).value().ticket.value());
  }
  const auto answers = store->claim(tickets, "w", 1, 1h);
  ASSERT_TRUE(answers) << answers.error().message;
  ASSERT_THAT(*answers, SizeIs(tickets.size()));
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    ASSERT_TRUE((*answers)[i]);
    EXPECT_EQ((*answers)[i]->lease.id, tickets[i].id);
  }
}

TEST_F(RestartTest, WhatTheNextBrokerTakesIsTakenOver) {
  start();
  const auto store = open("?timeout=30s");
  const NewJob job = test::work(std::string(500 << 10, 'x'), "named");
  broker_.reset();
  auto answer = std::async(std::launch::async, [&] {
    return store->insert({&job, 1}, 30s).at(0);
  });
  start(64 << 10);
  const auto refused = answer.get();
  ASSERT_FALSE(refused) << "written for the broker before";
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("max_frame"));
  EXPECT_EQ(store->insert({&job, 1}, 30s).at(0).error().code, Code::kTooLarge);
  const NewJob small = test::work();
  EXPECT_TRUE(store->insert({&small, 1}, 30s).at(0)) << "the connection holds";
}

// A broker's process is gone; one that it forked is not.
TEST_F(RestartTest, WhatADeadBrokerForkedHoldsNoPath) {
  int said[2];
  int asked[2];
  ASSERT_EQ(::pipe(said), 0);
  ASSERT_EQ(::pipe(asked), 0);
  const pid_t broker = ::fork();
  ASSERT_GE(broker, 0);
  if (broker == 0) {
    ::close(asked[1]);  // so that the child ends with the test
    const auto lock = IpcLock::take(endpoint_);
    if (!lock) ::_exit(1);
    const pid_t child = ::fork();
    if (child != 0) ::_exit(child < 0 ? 2 : 0);
    char byte = 'x';
    if (::write(said[1], &byte, 1) != 1) ::_exit(3);
    ::_exit(::read(asked[0], &byte, 1) == 0 ? 0 : 4);
  }
  ::close(said[1]);
  ::close(asked[0]);
  int status = 1;
  ASSERT_EQ(::waitpid(broker, &status, 0), broker);
  ASSERT_EQ(status, 0);
  char byte = 0;
  ASSERT_EQ(::read(said[0], &byte, 1), 1);
  EXPECT_TRUE(IpcLock::take(endpoint_));
  ::close(said[0]);
  ::close(asked[1]);
}

TEST_F(RestartTest, ASecondBrokerOnOnePathIsRefused) {
  start();
  BrokerOptions options;
  options.listen = {endpoint_};
  const auto second = Broker::start(options, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kExists);
  EXPECT_THAT(second.error().message, HasSubstr(endpoint_));
  EXPECT_TRUE(open()->monitor().counts()) << "the first still serves";
}

TEST(ZmqBroker, OptionsThatCannotWorkAreRefusedByName) {
  const auto why = [](auto change) {
    BrokerOptions options;
    options.listen = {"tcp://127.0.0.1:*"};
    change(options);
    const auto broker = Broker::start(options, nullptr);
    return broker ? std::string() : broker.error().message;
  };
  EXPECT_EQ(why([](BrokerOptions&) {}), "");
  EXPECT_THAT(why([](BrokerOptions& o) { o.poll = 0s; }), HasSubstr("poll"));
  EXPECT_THAT(why([](BrokerOptions& o) { o.poll = o.kLongestPoll + 1us; }),
              HasSubstr("poll: expected 1ms to 1d"));
  EXPECT_THAT(why([](BrokerOptions& o) { o.max_in_flight = o.max_frame - 1; }),
              HasSubstr("max_in_flight"));
}

TEST(ZmqClient, AClaimOfAClientThatLeftGetsNothing) {
  BrokerOptions options;
  options.sweep = false;
  const auto broker = test::start_broker(make_memory_store({}), options);
  const auto store = test::open_store(test::url_of(*broker));
  RawPeer gone(broker->endpoints()[0]);
  ASSERT_TRUE(gone.greet("gone"));
  Take take;
  take.kinds = kWork;
  take.max = 1;
  take.worker = "gone";
  take.claim_number = 1;
  take.lease = 1h;
  take.wait = 60s;
  gone.ask(take);
  gone.ask(Bye{});
  while (broker->health().sessions > 1) std::this_thread::yield();
  test::insert_jobs(**store, 1);
  auto source = (*store)->claim_source();
  const auto runs = source->claim({{}, kWork, 1}, "here", 1, 1h, 30s);
  ASSERT_TRUE(runs);
  ASSERT_THAT(*runs, SizeIs(1)) << "it did not wait for a lease to end";
}

}  // namespace
}  // namespace carrel::zmq
