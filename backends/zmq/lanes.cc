#include "lanes.h"

#include <utility>

#include "threads.h"

namespace carrel::zmq {

Lanes::Lanes(Service& service, std::function<void(Done)> done)
    : service_(service), done_(std::move(done)) {
  constexpr std::array<const char*, kCount> kNames{
      "zmq-enqueue", "zmq-claim", "zmq-beat", "zmq-finish", "zmq-other", "zmq-read"};
  try {
    for (std::size_t i = 0; i < kCount; ++i) {
      lanes_[i].thread =
          named_thread(kNames[i], [this, &lane = lanes_[i]] { work(lane); });
    }
  } catch (...) {
    stop();
    throw;
  }
}

Lanes::~Lanes() { stop(); }

void Lanes::stop() noexcept {
  for (Lane& lane : lanes_) {
    {
      const std::lock_guard lock(lane.mutex);
      lane.stopping = true;
    }
    lane.changed.notify_one();
  }
  for (Lane& lane : lanes_) {
    if (lane.thread.joinable()) lane.thread.join();
  }
}

Lanes::Which Lanes::lane_of(Type type) {
  switch (type) {
    case Type::kEnqueue:
      return kEnqueues;
    case Type::kTake:
    case Type::kClaim:
      return kClaims;
    case Type::kBeat:
      return kBeats;
    case Type::kFinish:
      return kFinishes;
    case Type::kPeek:
    case Type::kAwait:
    case Type::kJob:
    case Type::kList:
    case Type::kCounts:
    case Type::kPaused:
      return kReads;
    default:
      return kOthers;
  }
}

void Lanes::submit(CallPtr call) {
  Lane& lane = lanes_[lane_of(call->type)];
  {
    const std::lock_guard lock(lane.mutex);
    lane.waiting.push_back(std::move(call));
  }
  lane.changed.notify_one();
}

void Lanes::work(Lane& lane) {
  std::unique_lock lock(lane.mutex);
  for (;;) {
    lane.changed.wait(lock, [&] { return lane.stopping || !lane.waiting.empty(); });
    if (lane.waiting.empty()) return;
    const std::vector<CallPtr> calls = std::exchange(lane.waiting, {});
    lock.unlock();
    service_.run(calls, done_);
    lock.lock();
  }
}

}  // namespace carrel::zmq
