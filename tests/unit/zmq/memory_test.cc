// What a broker's process weighs under a flood, and with clients that do not read.
#include <gmock/gmock.h>

#include <deque>
#include <iostream>

#include "program_case.h"
#include "raw_peer.h"

namespace carrel::zmq {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr int kPeers = 16;

class MemoryTest : public ProgramTest {
 protected:
  MemoryTest() {
    write("broker.toml", "listen = [\"ipc://" + file("sock") +
                             "\"]\nstore = \"sqlite:jobs.db\"\nsweep = false\n[limits]\n"
                             "max_in_flight = 4194304\nmax_unread = 1048576\n");
    broker_.emplace(serve());
    manager_.hear("READY=1");
  }
  // The most that it has had in memory.
  std::size_t peak() const {
    std::ifstream status("/proc/" + std::to_string(broker_->pid()) + "/status");
    for (std::string word; status >> word;) {
      std::size_t kib = 0;
      if (word == "VmHWM:" && status >> kib) return kib << 10;
    }
    ADD_FAILURE() << "the broker is gone";
    return 0;
  }
  RawPeer& greet(std::deque<RawPeer>& peers) const {
    RawPeer& peer = peers.emplace_back("ipc://" + file("sock"));
    EXPECT_TRUE(peer.greet("peer-" + std::to_string(peers.size())));
    return peer;
  }
  static Enqueue jobs_of(std::size_t bytes) {
    Enqueue enqueue;
    NewJob& job = enqueue.jobs.emplace_back();
    job.kind = "work";
    job.payload = std::string(bytes, 'x');
    enqueue.deadline = 10s;
    return enqueue;
  }
  void expect_growth_below(std::size_t bound, std::size_t before,
                           const char* what) const {
    const std::size_t growth = peak() - before;
    std::cout << what << ": " << (growth >> 20) << " MiB more\n";
    EXPECT_LT(growth, bound);
  }

  std::optional<Child> broker_;
};

// 512 MiB come in as fast as sixteen connections carry them. There may be sixteen frames
// of each that the broker has not looked at yet, and what max_in_flight says.
TEST_F(MemoryTest, AFloodOfEnqueuesIsNotKept) {
  constexpr int kRounds = 64;
  std::deque<RawPeer> peers;
  for (int i = 0; i < kPeers; ++i) greet(peers);
  const Enqueue large = jobs_of(kMiB / 2);
  ASSERT_TRUE(peers[0].answer_to(large));
  const std::size_t before = peak();
  for (int round = 0; round < kRounds; ++round) {
    for (RawPeer& peer : peers) peer.ask(large);
  }
  for (RawPeer& peer : peers) {
    for (int i = 0; i < kRounds; ++i) ASSERT_FALSE(peer.receive().empty()) << "no answer";
  }
  expect_growth_below((kPeers * 16 / 2 + 4 + 32) * kMiB, before, "512 MiB of enqueues");
}

// They ask for 512 MiB of answers, and read none. Each gets what max_unread says, and
// what was under way by then: sixteen answers.
TEST_F(MemoryTest, AnswersThatNobodyReadsAreNotKept) {
  std::deque<RawPeer> peers;
  const auto in = greet(peers).answer_to(jobs_of(kMiB / 2));
  ASSERT_TRUE(in);
  JobAsk job;
  job.id = in->value.at(0)->id;
  ASSERT_TRUE(peers[0].answer_to(job));
  const std::size_t before = peak();
  for (int i = 0; i < kPeers; ++i) {
    RawPeer& peer = greet(peers);
    for (int round = 0; round < 64; ++round) peer.ask(job);
  }
  // One of them after the others: when it is answered, all that came before it has been.
  EXPECT_TRUE(greet(peers).answer_to(CountsAsk{}));
  expect_growth_below(kPeers * (1 + 16 / 2 + 4) * kMiB, before, "512 MiB of answers");
}

}  // namespace
}  // namespace carrel::zmq
