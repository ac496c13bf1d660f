// A worker behind a network that breaks on its way to a broker: cut, delayed, a black
// hole, half-open.
#include <carrel/memory.h>
#include <carrel/zmq.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "network_case.h"
#include "tcp_proxy.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;

std::uint16_t port_of(const std::string& endpoint) {
  return static_cast<std::uint16_t>(std::stoul(endpoint.substr(endpoint.rfind(':') + 1)));
}

TEST(NetworkTest, WorkGoesOnWhateverBreaks) {
  zmq::BrokerOptions options;
  options.listen = {"tcp://127.0.0.1:*"};
  const auto broker = zmq::Broker::start(options, make_memory_store({})).value();
  TcpProxy proxy(port_of(broker->endpoints().at(0)));
  Registry registry = Registry::with_builtins();
  register_zmq(registry);
  NetworkCase network("zmq+tcp://127.0.0.1:" + std::to_string(proxy.port()),
                      std::move(registry));
  using Mode = TcpProxy::Mode;
  for (const Mode fault : {Mode::kCut, Mode::kDelay, Mode::kHalfOpen, Mode::kBlackHole,
                           Mode::kCut, Mode::kHalfOpen, Mode::kDelay, Mode::kBlackHole}) {
    network.during([&] { proxy.set(fault); }, 2s, [&] { proxy.set(Mode::kPass); });
  }
  network.expect_all(10s);
}

}  // namespace
}  // namespace carrel::fault
