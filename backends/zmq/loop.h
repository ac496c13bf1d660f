// The broker's one thread: it turns between its clients (sessions.h) and what they ask
// for (calls.h). What blocks is done elsewhere (lanes.h).
#pragma once

#include <carrel/zmq.h>

#include <functional>
#include <memory>
#include <utility>
#include <variant>
#include <zmq.hpp>

#include "calls.h"
#include "inbox.h"
#include "keys.h"
#include "sessions.h"

namespace carrel::zmq {

class Loop {
 public:
  // `keys`: nullptr where there is no CURVE. `store`: nullptr: tickets only.
  Loop(const BrokerOptions& options, ::zmq::socket_t router,
       std::shared_ptr<const Keys> keys, Store* store);

  // Until stop(). What is in flight is answered; what waits is sent away with nothing.
  void run();

  // From any thread.
  void stop() {
    post([this] { stopping_ = true; });
  }
  void post(std::function<void()> command) { inbox_.push(std::move(command)); }

  // On the loop's thread:
  BrokerHealth health() const;
  // After the list of keys has changed.
  void check_keys() { sessions_.check_keys(); }

 private:
  void turn();
  void poll();
  void take_inbox();
  void keep_time();
  void look_for_descriptors();
  void shut_down();

  const BrokerOptions options_;
  const std::unique_ptr<Queue> tickets_;
  Inbox<std::variant<Done, std::function<void()>>> inbox_;
  bool stopping_ = false;
  Clock::time_point next_cleaning_;
  Clock::time_point next_complaint_{};  // of descriptors, by then at the earliest
  BrokerHealth counted_;
  Sessions sessions_;
  Calls calls_;  // last: its lanes end before what they call
};

}  // namespace carrel::zmq
