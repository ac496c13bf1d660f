// Carries requests out on the hosted store, and writes the answers.
#pragma once

#include <carrel/store.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "call.h"

namespace carrel::zmq {

// Threads: safe, but for TAKE and CLAIM, which one thread may run. Blocks for as long as
// the store does, and never waits for a job or an end: that is the loop's affair.
class Service {
 public:
  // `store` outlives it, and is its own queue.
  explicit Service(Store& store);

  // Calls of one lane, in their order. Neighbours of a kind that gains by it become one
  // call of the store: enqueues and finishes share a commit, sweeps are done once. `done`
  // is called once for each.
  void run(std::span<const CallPtr> calls, const std::function<void(Done)>& done);

 private:
  void enqueue(std::span<const CallPtr> calls, const std::function<void(Done)>& done);
  void finish(std::span<const CallPtr> calls, const std::function<void(Done)>& done);
  void sweep(std::span<const CallPtr> calls, const std::function<void(Done)>& done);
  Done take(const CallPtr& call);
  Done claim(const CallPtr& call);
  template <class Row>  // as many of the answers as fit
  void cut(std::vector<Row>& rows, Done& it);
  Done one(const CallPtr& call);

  Store& store_;
  std::unique_ptr<ClaimSource> source_;
  std::size_t most_;  // jobs of the next TAKE or CLAIM
};

// A frame that says why this request failed.
std::string error_frame(Error error);

}  // namespace carrel::zmq
