// A link whose server has died: what is started meanwhile is held, and can be stopped.
#include "server_link.h"

#include <atomic>
#include <future>
#include <stop_token>

#include "process_test.h"

namespace carrel::test {
namespace {

using process::Channel;
using process::FdPair;
using process::Link;
using process::UniqueFd;

Task task(std::shared_ptr<Recorder> sink) {
  auto job = std::make_shared<Claimed>();
  job->kind = "any";
  return {std::move(job), {}, std::move(sink)};
}

// The server's part is played by the test, which has its ends of the channels.
class ServerLinkTest : public testing::Test {
 protected:
  ServerLinkTest() {
    IsolationSetup setup;
    setup.reactor = &reactor_;
    link_.emplace(
        Link::open(setup, [this](std::stop_token stop) { return dial(stop); }).value());
  }

  // How the calls of dial() after the first go.
  std::promise<void> dialed;  // it was called again
  std::shared_future<Result<void>> answer;

  void lose_server() {
    server_.reset();
    ASSERT_TRUE(eventually([this] { return link_->channel()->dead(); }));
  }
  Started start(std::function<void()> then = {}) {
    Started out;
    out.sink = std::make_shared<Recorder>();
    out.sink->then = std::move(then);
    Task tasks[] = {task(out.sink)};
    auto answers = link_->start(
        tasks, [this](std::span<Task> some, const std::shared_ptr<Channel>& channel) {
          Link::Answers all;
          EXPECT_FALSE(channel->dead());
          for (const Task& one : some) {
            ++begun_;
            all.emplace_back(process::end_unstarted(one, OutcomeClass::kDiscarded, {}));
          }
          return all;
        });
    out.run = answers.at(0).value();
    return out;
  }
  Link& link() { return *link_; }
  int begun() const { return begun_; }

 private:
  Result<UniqueFd> dial(std::stop_token stop) {
    if (dials_++ == 1) dialed.set_value();
    if (dials_ > 1) {
      std::promise<void> stopped;
      const std::stop_callback give_up(stop, [&] { stopped.set_value(); });
      const auto until = stopped.get_future();
      while (answer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
        if (until.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
          return fail(Code::kUnavailable, "given up");
      }
      if (!answer.get()) return tl::unexpected<Error>(answer.get().error());
    }
    FdPair ends = process::socket_pair(SOCK_SEQPACKET);
    server_ = std::move(ends.second);
    return std::move(ends.first);
  }

  Reactor reactor_;
  UniqueFd server_;
  std::atomic<int> dials_{0};
  std::atomic<int> begun_{0};
  std::optional<Link> link_;
};

TEST_F(ServerLinkTest, WhileItIsDialedOthersAreHeldAndStopped) {
  std::promise<Result<void>> reached;
  answer = reached.get_future().share();
  lose_server();
  const auto first = start();
  dialed.get_future().wait();
  const auto stopped = start();
  const auto killed = start();
  stopped.run->request_stop(StopReason::kTimeout);
  killed.run->kill();
  const Outcome out = stopped.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.error.code, Code::kTimeout);
  EXPECT_EQ(killed.sink->wait().klass, OutcomeClass::kCancelled);
  EXPECT_FALSE(first.sink->ended());
  reached.set_value({});
  EXPECT_EQ(first.sink->wait().klass, OutcomeClass::kDiscarded);
  EXPECT_EQ(begun(), 1);
  EXPECT_EQ(start().sink->wait().klass, OutcomeClass::kDiscarded);
}

TEST_F(ServerLinkTest, ItsEndDoesNotWaitForTheDial) {
  std::promise<Result<void>> never;
  answer = never.get_future().share();
  lose_server();
  const auto job = start();
  dialed.get_future().wait();
  job.run->request_stop(StopReason::kShutdown);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kCancelled);
  link().close();
}

TEST_F(ServerLinkTest, WithoutAChannelTheTasksSayWhy) {
  for (const auto& [code, klass] :
       {std::pair(Code::kUnavailable, OutcomeClass::kResourceError),
        std::pair(Code::kUnsupported, OutcomeClass::kSandboxUnavailable),
        std::pair(Code::kInternal, OutcomeClass::kFailed)}) {
    std::promise<Result<void>> refused;
    refused.set_value(fail(code, "no server"));
    answer = refused.get_future().share();
    lose_server();
    // The second is asked for on the thread that ends the first.
    std::promise<Started> second;
    const auto first = start([&] { second.set_value(start()); });
    EXPECT_EQ(first.sink->wait().klass, klass);
    const auto out = second.get_future().get().sink->wait();
    EXPECT_EQ(out.klass, klass);
    EXPECT_EQ(out.error.message, "no server");
  }
  EXPECT_EQ(begun(), 0);
}

}  // namespace
}  // namespace carrel::test
