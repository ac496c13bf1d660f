// A child that does not keep to the protocol.
#include <unistd.h>

#include "handlers.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using ForkProtocolTest = ProcessTest;

TEST_F(ForkProtocolTest, Case09_ExitWithoutResult_ProtocolError) {
  for (const char* code : {"0", "3"}) {
    const Outcome out = fork_host().run("leave", code);
    EXPECT_EQ(out.klass, OutcomeClass::kProtocolError);
    EXPECT_EQ(std::to_string(out.exit_code), code);
    EXPECT_NE(out.error.message.find("without a whole result"), std::string::npos);
  }
}

TEST_F(ForkProtocolTest, Case10_CutFrame_ProtocolError) {
  EXPECT_EQ(fork_host().run("cut_frame").klass, OutcomeClass::kProtocolError);
  EXPECT_EQ(fork_host().run("cut_header").klass, OutcomeClass::kProtocolError);
}

TEST_F(ForkProtocolTest, Case10_HugeLength_ProtocolErrorAndNothingAllocated) {
  const auto before = resident_bytes_of(getpid());
  EXPECT_EQ(fork_host().run("huge_log").klass, OutcomeClass::kProtocolError);
  const Outcome out = fork_host().run("huge_result");
  EXPECT_EQ(out.klass, OutcomeClass::kDiscarded);
  EXPECT_EQ(out.error.code, Code::kTooLarge);
  EXPECT_LT(resident_bytes_of(getpid()), before + (32U << 20));
}

// These would sleep for ever: that they end shows that they are killed.
TEST_F(ForkProtocolTest, BytesThatAreNoFrameEndTheJob) {
  for (const char* kind : {"garbage", "two_results", "bad_progress"}) {
    const Outcome out = fork_host().run(kind);
    EXPECT_EQ(out.klass, OutcomeClass::kProtocolError) << kind;
    EXPECT_FALSE(out.error.message.empty());
  }
}

TEST_F(ForkProtocolTest, Case11_HandlerCallsExit_PeersSeeNothing) {
  const auto peer = fork_host().start("wait_stop");
  peer.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  const Outcome out = fork_host().run("exit", "5");
  EXPECT_EQ(out.klass, OutcomeClass::kProtocolError);
  EXPECT_EQ(out.exit_code, 5);
  EXPECT_EQ(counted_exits(), 0) << "an exit function of the host ran";
  EXPECT_FALSE(peer.sink->ended());
  peer.run->request_stop(StopReason::kCancel);
  const Outcome other = peer.sink->wait();
  EXPECT_EQ(other.klass, OutcomeClass::kOk) << other.error.message;
  EXPECT_EQ(other.result, "\"stopped\"");
}

}  // namespace
}  // namespace carrel::test
