// Threads that carry requests out on a store that blocks: each sort of request has a
// lane, so that a beat waits for no claim, and a claim for no commit of an enqueue.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "call.h"
#include "service.h"

namespace carrel::zmq {

class Lanes {
 public:
  // `done` is called on a lane's thread.
  Lanes(Service& service, std::function<void(Done)> done);
  // Carries out what is there, then ends.
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  // Those of one lane are carried out in their order. While one is under way the others
  // gather, and go to the service together.
  void submit(CallPtr call);

 private:
  enum Which { kEnqueues, kClaims, kBeats, kFinishes, kOthers, kReads, kCount };
  struct Lane {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<CallPtr> waiting;
    bool stopping = false;
    std::thread thread;
  };
  static Which lane_of(Type type);
  void work(Lane& lane);
  void stop() noexcept;

  Service& service_;
  const std::function<void(Done)> done_;
  std::array<Lane, kCount> lanes_;
};

}  // namespace carrel::zmq
