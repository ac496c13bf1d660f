// What the broker's clients ask for, from the request to its answer.
#pragma once

#include <carrel/zmq.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "call.h"
#include "lanes.h"
#include "parking.h"
#include "repeats.h"
#include "service.h"
#include "sessions.h"
#include "underway.h"

namespace carrel::zmq {

// Threads: the broker's loop. A store that blocks is asked elsewhere (lanes.h), any other
// here.
class Calls {
 public:
  static constexpr std::uint32_t kMaxBatch = 1'024;  // rows of one request

  // `store`: nullptr: tickets only. `done` is called on any thread, and brings its
  // argument to on_done().
  Calls(const BrokerOptions& options, Sessions& sessions, Store* store, Queue& tickets,
        BrokerHealth& counted, std::function<void(Done)> done);
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  void begin(const SessionPtr& session, const Head& head, std::string_view frame);
  // The client has read its answer to this.
  void read(const SessionPtr& session, std::uint64_t id);
  // Of a session that is gone: what waits for it ends; what is with the store is released
  // when it comes back.
  void leave(const SessionPtr& session);
  void on_done(Done done);
  // Asks a store that does not block for what has gathered.
  void carry_out();
  // Ends waits whose time is over, looks at the store, and sweeps. What next_event()
  // says is when it has something to do.
  void keep_time();
  Clock::time_point next_event() const;
  // Everything that waits is answered with nothing; blocks until the store has answered
  // the rest, for which on_done() is still to be called.
  void shut_down();

  // Adds what it knows.
  void tell(BrokerHealth& health) const;

 private:
  void on_abandon(const SessionPtr& session, std::string_view body);
  void on_request(const SessionPtr& session, const Head& head, std::string_view frame);
  // What to say instead of doing it; nothing: it may be done.
  std::optional<std::string> objection(const Session& session, const Head& head,
                                       const Request& request, std::size_t bytes);
  // False: it is new. Else it is, or will be, answered as the first time: also to a key
  // that may less by now.
  bool answer_again(const SessionPtr& session, std::uint64_t id);
  bool may_wait(const Call& call) const;
  bool has_room(const Session& session, Type type, std::size_t bytes) const;
  void begin(const CallPtr& call);
  void begin_beat(const BeatAsk& beat);
  void publish(const CallPtr& call);
  void receive_tickets(const CallPtr& call);
  void submit(const CallPtr& call);
  void submit_own(Request request);
  void on_taken(Done done);
  void on_awaited(Done done);
  void spread(const News& news);
  void wait(const CallPtr& call);
  void await(const CallPtr& call);
  void wake(const std::vector<CallPtr>& calls);
  void answer_empty(const CallPtr& call);
  bool answer(const CallPtr& call, std::string frame);
  void stop_counting(const Call& call);  // among those that wait
  void release(std::span<const Lease> leases);
  void look_again();
  void tell_trouble(const Error& error);

  const BrokerOptions& options_;
  Sessions& sessions_;
  Store* const store_;
  Queue& tickets_;
  BrokerHealth& counted_;

  Parking takes_;
  Parking receives_;
  Awaits awaits_;
  Claims claims_;
  Repeats repeats_;
  std::set<std::pair<Clock::time_point, CallPtr>>
      timers_;                 // of takes_, receives_, awaits_
  std::uint64_t changes_ = 0;  // how often jobs may have become available
  std::deque<CallPtr> ready_;  // for a store that does not block
  Clock::time_point next_look_;
  Clock::time_point next_sweep_;
  bool sweeping_ = false;
  bool looking_ = false;      // for ends that nobody told of
  bool look_wanted_ = false;  // again, once that is done
  bool stopping_ = false;
  Clock::time_point next_complaint_{};  // of the store, by then at the earliest
  std::size_t in_flight_ = 0;
  std::size_t in_flight_bytes_ = 0;
  std::size_t waiting_bytes_ = 0;  // of all clients' calls that wait

  std::unique_ptr<Service> service_;
  std::unique_ptr<Lanes> lanes_;  // null: the store does not block. Last: ends first
};

}  // namespace carrel::zmq
