#include "messages.h"

#include <cstdlib>
#include <tuple>

namespace carrel::zmq {
namespace {

template <class... M>
struct Messages {
  static bool understood(const Head& head, std::string_view frame) {
    return ((head.type == M::kType && reads<M>(head, frame)) || ...);
  }

 private:
  template <class T>
  static bool reads(const Head& head, std::string_view frame) {
    T message{};
    if (!decode(body_of(frame), message)) return false;
    std::string again = encode(message);
    stamp(again, head.id, head.received);
    if (again != frame) std::abort();
    return true;
  }
};

using Requests =
    Messages<Hello, Heartbeat, Bye, Abandon, Enqueue, Take, ClaimAsk, BeatAsk, FinishAsk,
             CancelAsk, RetryAsk, PeekAsk, SweepAsk, PauseAsk, AwaitAsk, JobAsk, ListAsk,
             CountsAsk, PausedAsk, Publish, ReceiveAsk>;
using Answers =
    Messages<Welcome, HeartbeatAnswer, Busy, Refused, Failed, Enqueue::Answer,
             Take::Answer, ClaimAsk::Answer, BeatAsk::Answer, FinishAsk::Answer,
             CancelAsk::Answer, RetryAsk::Answer, PeekAsk::Answer, SweepAsk::Answer,
             PauseAsk::Answer, AwaitAsk::Answer, JobAsk::Answer, ListAsk::Answer,
             CountsAsk::Answer, PausedAsk::Answer, Publish::Answer, ReceiveAsk::Answer>;

}  // namespace

bool understood(std::string_view frame) {
  const auto head = head_of(frame);
  return head && head->version == kVersion &&
         (Requests::understood(*head, frame) || Answers::understood(*head, frame));
}

}  // namespace carrel::zmq
