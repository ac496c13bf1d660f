// The broker's one thread: it owns the socket and all that is known of clients and of
// those who wait. What blocks is done elsewhere (lanes.h).
#pragma once

#include <carrel/zmq.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>
#include <zmq.hpp>

#include "call.h"
#include "inbox.h"
#include "keys.h"
#include "lanes.h"
#include "parking.h"
#include "service.h"

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

  BrokerHealth health() const;  // on the loop's thread

 private:
  using SessionPtr = std::shared_ptr<Session>;

  void turn();
  void poll();
  void receive();
  void hear(const std::string& route, const std::string& user, std::string_view frame);
  SessionPtr session_of(const std::string& route, const std::string& user);
  bool may_speak(const SessionPtr& session, const Head& head);
  void on_hello(const SessionPtr& session, const Head& head, std::string_view body);
  void on_heartbeat(const SessionPtr& session, const Head& head, std::string_view body);
  void on_abandon(const SessionPtr& session, std::string_view body);
  void on_request(const SessionPtr& session, const Head& head, std::string_view frame);
  bool has_room(const Session& session, Type type, std::size_t bytes) const;
  void begin(const CallPtr& call);
  void begin_claim(const CallPtr& call, const std::string& worker);
  void begin_beat(const BeatAsk& beat);
  void publish(const CallPtr& call);
  void receive_tickets(const CallPtr& call);

  void submit(const CallPtr& call);
  void carry_out();
  void on_done(Done done);
  void on_taken(Done done);
  void on_awaited(Done done);
  void spread(const News& news);
  void wake(std::vector<CallPtr> calls);
  void wait(const CallPtr& call);
  void await(const CallPtr& call);
  void forget_await(const CallPtr& call);
  void answer_empty(const CallPtr& call);
  bool answer(const CallPtr& call, std::string frame);
  void release(std::span<const Lease> leases);
  void submit_own(Request request);

  bool send(const SessionPtr& session, std::uint64_t id, std::string frame);
  void refuse(const SessionPtr& session, std::uint64_t id, Code code, std::string why);
  void on_malformed(const SessionPtr& session);
  void drop(const SessionPtr& session);
  void keep_time();
  void look_again();
  Clock::time_point next_event() const;
  void shut_down();

  const BrokerOptions options_;
  ::zmq::socket_t router_;
  const std::shared_ptr<const Keys> keys_;
  Store* const store_;
  const std::unique_ptr<Queue> tickets_;
  Inbox<std::variant<Done, std::function<void()>>> inbox_;
  bool stopping_ = false;

  std::unordered_map<std::string, SessionPtr> sessions_;  // by route
  std::unordered_map<std::string, SessionPtr> clients_;   // by their own name
  Parking takes_;
  Parking receives_;
  std::unordered_multimap<std::uint64_t, CallPtr> awaits_;        // by job
  std::unordered_map<std::string, std::vector<CallPtr>> claims_;  // under way, by worker
  std::multimap<Clock::time_point, std::weak_ptr<Call>> timers_;
  std::uint64_t changes_ = 0;  // how often jobs may have become available
  std::deque<CallPtr> ready_;  // for a store that does not block
  Clock::time_point next_look_;
  Clock::time_point next_sweep_;
  Clock::time_point next_cleaning_;
  bool sweeping_ = false;
  std::size_t in_flight_ = 0;
  std::size_t in_flight_bytes_ = 0;
  BrokerHealth counted_;

  std::unique_ptr<Service> service_;
  std::unique_ptr<Lanes> lanes_;  // null: the store does not block. Last: ends first
};

}  // namespace carrel::zmq
