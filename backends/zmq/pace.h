// When a client speaks, and when its broker has been silent for too long.
#pragma once

#include <algorithm>
#include <chrono>

#include "fields.h"

namespace carrel::zmq {

// The broker counts by the interval that it was told last; so does all of this. A client
// that only waits is heard of less often: the heartbeat that says so is the last one at
// the old interval. Threads: one. Every call is told the time.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr int kMisses = 3;
  static constexpr int kStretch = 5;
  static constexpr Duration kLongest = std::chrono::minutes(1);  // of the protocol
  static constexpr Duration kBusy = std::chrono::seconds(30);
  static constexpr Duration kGrace = std::chrono::milliseconds(2'500);

  explicit Pace(Duration heartbeat) : heartbeat_(heartbeat), told_(heartbeat) {}

  // A session begins with the interval `heartbeat`.
  void begin(Time now) {
    told_ = heartbeat_;
    busy_ = sent_ = silent_since_ = now;
  }
  void busy(Time now) { busy_ = now; }  // there is something to do but to wait
  void sent(Time now) { sent_ = now; }
  void heard(Time now) { silent_since_ = now; }

  // When to send a heartbeat.
  Time due(Time now) const { return wanted(now) < told_ ? now : sent_ + told_; }
  // What the heartbeat that is sent now says of the next.
  Duration beat(Time now) {
    const Duration next = wanted(now);
    if (next < told_) silent_since_ = now;  // it had the longer time until now
    told_ = next;
    return next;
  }
  Time lost() const { return silent_since_ + kMisses * told_ + kGrace; }

 private:
  Duration wanted(Time now) const {
    return now - busy_ > kBusy ? std::min(heartbeat_ * kStretch, kLongest) : heartbeat_;
  }

  const Duration heartbeat_;
  Duration told_;
  Time busy_{};
  Time sent_{};
  Time silent_since_{};
};

}  // namespace carrel::zmq
