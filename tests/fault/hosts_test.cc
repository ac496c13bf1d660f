// Two hosts, the broker on the one, and the cable between them pulled out and put back
// under load, for less and for more than a lease and than a session lasts. Then the
// checker looks for what was lost or done twice.
//
// FAULT_CUTS in the environment makes it longer (broker_case.h).
#include "hosts.h"

#include <fstream>
#include <thread>

#include "broker_case.h"

namespace carrel::fault {
namespace {

class HostsTest : public BrokerCase {
 protected:
  HostsTest() : BrokerCase(3'000), hosts_(Hosts::make(missing_)) {}

  // One worker stays with the broker, and gets what the others must leave.
  std::vector<std::string> placed(Who who, std::size_t number,
                                  std::vector<std::string> command) const override {
    const bool here = who == Who::kBroker || (who == Who::kWorker && number == 0);
    return hosts_->at(here ? 0 : 1, std::move(command));
  }
  // Off loopback nobody is let in without. "[name]", "key = …": what keys.toml takes.
  std::string make_keys(const std::string& name, const std::string& role) const {
    Child keys({"/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder_.path().string(),
                BROKER_PROGRAM, "keys", name, "--role", role});
    std::string text;
    for (std::string line = keys.wait_line(); !line.empty(); line = keys.wait_line()) {
      text += line + "\n";
    }
    EXPECT_TRUE(keys.wait_end(60s));
    return text;
  }
  void start() {
    const std::string endpoint = "tcp://" + Hosts::address(0) + ":5555";
    // "… server_key=HEX"
    const std::string said = make_keys("broker", "broker");
    const std::string server_key = said.substr(said.find("server_key="));
    std::ofstream(folder_.path() / "keys.toml") << make_keys("client", "worker");
    listen_on(endpoint,
              "zmq+" + endpoint + "?heartbeat=200ms&secret_file=" +
                  (folder_.path() / "client.key").string() + "&" +
                  server_key.substr(0, server_key.find('\n')),
              "secret_file = \"broker.key\"\nkeys_file = \"keys.toml\"\n");
    broker_.emplace(broker());
    for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(worker(i));
  }

  std::string missing_;
  const std::unique_ptr<Hosts> hosts_;
};

TEST_F(HostsTest, ACableThatIsPulledOutLosesNothingAndDoesNothingTwice) {
  if (!hosts_) GTEST_SKIP() << "needs " << missing_;
  start();
  const std::size_t cuts = from_environment("FAULT_CUTS", 6);
  for (std::size_t i = 0; i < cuts; ++i) {
    if (i * kChunks / cuts >= next_chunk_) produce();
    ASSERT_FALSE(HasFatalFailure());
    // At random, not to wait for anything.
    std::this_thread::sleep_for(some(50ms, 400ms));
    const std::size_t host = i % 2;
    hosts_->unplug(host);
    // A client gives its session up after some three seconds, the broker after four.
    std::this_thread::sleep_for(i % 3 == 2 ? some(4s, 5s) : some(300ms, 2s));
    hosts_->plug(host);
  }
  conformance::CheckReport report;
  ASSERT_NO_FATAL_FAILURE(expect_nothing_lost(report));
  EXPECT_GT(report.repeated, 0U) << "no lease ended meanwhile";
}

}  // namespace
}  // namespace carrel::fault
