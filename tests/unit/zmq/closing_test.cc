// What becomes of tickets that a queue took, when it is closed.
#include <gmock/gmock.h>

#include <array>
#include <future>
#include <thread>
#include <zmq.hpp>

#include "context.h"
#include "hosted.h"
#include "messages.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const std::vector<std::string> kKinds = {"kind"};

TEST(Closing, TicketsThatWereTakenArrive) {
  constexpr std::uint64_t kTickets = 5'000;
  const auto broker = test::start_broker(nullptr);
  const std::string url = test::url_of(*broker);
  for (int round = 0; round < 5; ++round) {
    auto queue = test::open_queue(url).value();
    std::vector<Ticket> tickets;
    for (std::uint64_t i = 1; i <= kTickets; ++i) {
      tickets.push_back({JobId{i}, "default", "kind"});
    }
    ASSERT_EQ(queue->publish(tickets), kTickets);
    queue.reset();
    const auto other = test::open_queue(url).value();
    std::size_t arrived = 0;
    for (;;) {
      const auto some = other->receive({{}, kKinds, 1'000}, 0s).value();
      if (some.empty()) break;
      arrived += some.size();
    }
    EXPECT_EQ(arrived, kTickets);
  }
}

// A broker that greets, and says no more.
void greet(::zmq::socket_t& router) {
  ::zmq::message_t route;
  ::zmq::message_t frame;
  ASSERT_TRUE(router.recv(route));
  ASSERT_TRUE(router.recv(frame));
  Welcome welcome;
  welcome.max_batch = 100;
  welcome.max_frame = 1 << 20;
  welcome.window = 1;
  std::string answer = encode(welcome);
  stamp(answer, head_of(frame.to_string_view())->id, 0);
  ASSERT_TRUE(router.send(route, ::zmq::send_flags::sndmore));
  ASSERT_TRUE(router.send(::zmq::buffer(answer)));
}

TEST(Closing, WhatDidNotArriveIsSaid) {
  ::zmq::socket_t router(**context(), ::zmq::socket_type::router);
  router.set(::zmq::sockopt::linger, 0);
  router.bind("tcp://127.0.0.1:*");
  const std::string url =
      "zmq+" + router.get(::zmq::sockopt::last_endpoint) + "?timeout=200ms";
  std::string said;
  BackendOptions options;
  options.log = [&](LogLevel, std::string_view line) { said += line; };
  auto opening = std::async(std::launch::async,
                            [&] { return test::open_queue(url, options).value(); });
  greet(router);
  auto queue = opening.get();
  while (queue->publish(std::array{Ticket{JobId{1}, "default", "kind"}}) == 0) {
    std::this_thread::yield();
  }
  queue.reset();
  EXPECT_THAT(said, HasSubstr("1 tickets"));
}

TEST(Closing, ABrokersAddressIsFreeWhenItIsGone) {
  const test::TemporaryDirectory directory;
  for (std::string endpoint :
       {std::string("tcp://127.0.0.1:*"), "ipc://" + directory.file("broker"),
        std::string("inproc://carrel-closing-test")}) {
    for (int i = 0; i < 30; ++i) {
      BrokerOptions options;
      options.listen = {endpoint};
      auto broker = Broker::start(options, nullptr);
      ASSERT_TRUE(broker) << endpoint << ", " << i << ": " << broker.error().message;
      endpoint = (*broker)->endpoints().at(0);
      // Somebody is connected, too.
      if (i % 2 == 0) {
        ASSERT_TRUE(test::open_queue("zmq+" + endpoint)) << endpoint;
      }
    }
  }
}

}  // namespace
}  // namespace carrel::zmq
