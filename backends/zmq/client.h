// A client of a broker: sends requests, and brings each its answer, whatever becomes of
// the connection meanwhile.
#pragma once

#include <carrel/store.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "address.h"
#include "broker_link.h"
#include "inbox.h"
#include "messages.h"
#include "pace.h"

namespace carrel::zmq {

// Whether a request may be sent again when the connection was lost before its answer:
// only where doing it twice is doing it once. A broker that lives on does it once in any
// case (repeats.h), but another one may be there by then.
enum class Repeat : bool { kNo, kYes };

// Wakes the calls that wait at the broker, now and for ever. Threads: safe.
class Interrupter {
 public:
  bool on() const noexcept;

 private:
  friend class Client;
  mutable std::mutex mutex_;
  bool on_ = false;
  std::set<std::uint64_t> calls_;
};

// Threads: every call is safe beside every other. One thread of its own owns the socket.
class Client {
 public:
  using Clock = std::chrono::steady_clock;
  // Called on the client's thread, or on that of the destructor: must not block. The
  // answer is a frame of the type that was waited for.
  using Then = std::function<void(Result<std::string>)>;

  // Blocks until the broker has said WELCOME, or `address.timeout` is over.
  static Result<std::unique_ptr<Client>> connect(Address address, LogFn log);
  // Likewise, but is content after `patience` with a broker that is away.
  static Result<std::unique_ptr<Client>> connect_in_time(Address address, LogFn log,
                                                         Duration patience);
  // Sends the tickets that were accepted, and waits a second at most for them to arrive:
  // nobody else does. What has no answer then ends with kUnavailable.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Address& address() const noexcept { return address_; }
  // The last one. Before the first: what a broker of this version says.
  Welcome welcome() const;
  Result<void> connected() const;  // kUnavailable, or what it was refused with

  // `then` is called exactly once, by `patience` from now: kUnavailable, if it must.
  // Never blocks; what is not sent yet waits in memory.
  std::uint64_t send(std::string frame, Duration patience, Repeat repeat, Then then);

  // The same, and waits. `waits`: the broker may keep it for so long, beyond which
  // `patience`, at most `address.timeout`, is allowed; an interrupter ends it early, with
  // what the broker has done by then or, at once, with kCancelled.
  template <class M>
  Result<typename M::Answer> ask(const M& message, Repeat repeat,
                                 Duration waits = Duration{0},
                                 Interrupter* interrupter = nullptr,
                                 Duration patience = Duration::max());
  void interrupt(Interrupter& interrupter) noexcept;

 private:
  struct Ask {
    std::uint64_t id = 0;
    std::string frame;
    Clock::time_point deadline;
    Repeat repeat = Repeat::kNo;
    Then then;
    Type type = Type::kError;
    bool sent = false;
    bool interrupted = false;
    std::multimap<Clock::time_point, std::uint64_t>::iterator timer;
  };
  struct Interrupted {
    std::uint64_t id;
  };
  using Order = std::variant<Ask, Interrupted>;
  enum class Phase { kDown, kGreeting, kUp };
  static constexpr const char* kGone = "the connection was lost";

  Client(Address address, LogFn log, Duration patience);
  static Result<std::unique_ptr<Client>> connect(Address address, LogFn log,
                                                 Duration patience, bool content);

  // It waits at the broker, or must not wait for others: the window does not count it.
  static bool outside_window(Type type) noexcept;
  static tl::unexpected<Error> unavailable(std::string why);
  Result<std::string> wait_for(std::string frame, Duration patience, Repeat repeat,
                               Interrupter* interrupter);

  // All below: the client's thread.
  void run();
  void turn();
  void deliver_tickets();
  void poll();
  void take_orders();
  void accept(Ask ask);
  void interrupted(std::uint64_t id);
  void flush();
  bool transmit(Ask& ask);  // false: the connection is gone
  bool fits(const Ask& ask) const;
  void hear_events();
  void receive();
  void on_frame(std::string frame);
  void on_welcome(std::string_view body);
  void on_refused(std::string_view body);
  void keep_time();
  void greet();
  void lose(const std::string& why, bool by_refusal = false);
  void is_away(Error why);
  void finish(std::uint64_t id, Result<std::string> result);
  void send_raw(std::string frame, std::uint64_t id);
  std::string silence() const;
  Clock::time_point next_event() const;

  const Address address_;
  const LogFn log_;
  const std::string name_;  // of this client, random
  std::atomic<std::uint64_t> last_id_{0};
  Inbox<Order> inbox_;
  std::atomic<bool> stopping_{false};
  std::promise<Result<void>> greeted_;
  mutable std::mutex state_mutex_;  // guards the two below
  Welcome welcome_;
  std::optional<Error> away_;

  const Clock::time_point greet_by_;
  bool greeted_set_ = false;
  std::minstd_rand random_{std::random_device{}()};
  std::unique_ptr<Link> link_;
  Phase phase_ = Phase::kDown;
  Clock::time_point phase_ends_{};  // kDown: try then; kGreeting: give up then
  std::chrono::milliseconds backoff_{};
  std::string trouble_;           // what is known of why there is no connection
  std::optional<Error> refusal_;  // the broker does not want this client
  std::uint64_t received_ = 0;    // answers of this session
  Pace pace_;                     // of this session
  std::unordered_map<std::uint64_t, Ask> asks_;
  std::multimap<Clock::time_point, std::uint64_t> timers_;
  std::deque<std::uint64_t> urgent_;    // not sent yet; ids that are gone are skipped
  std::deque<std::uint64_t> ordinary_;  // likewise
  std::multimap<Clock::time_point, std::uint64_t> again_;  // were answered with BUSY
  std::size_t in_window_ = 0;
  std::size_t window_ = 0;  // as the last WELCOME said, and so below
  std::size_t max_frame_ = 0;
  Clock::time_point closes_ = Clock::time_point::max();
  std::thread thread_;
};

Result<void> check_answer(const Result<std::string>& frame, Type expected,
                          std::string_view endpoint);

template <class M>
Result<typename M::Answer> Client::ask(const M& message, Repeat repeat, Duration waits,
                                       Interrupter* interrupter, Duration patience) {
  const auto frame = wait_for(
      encode(message), waits + std::min(patience, address_.timeout), repeat, interrupter);
  if (auto ok = check_answer(frame, M::Answer::kType, address_.endpoint); !ok) {
    return tl::unexpected<Error>(std::move(ok.error()));
  }
  typename M::Answer answer;
  if (!decode(body_of(*frame), answer)) {
    return fail(Code::kInternal, address_.endpoint + ": an answer that is no answer",
                "zmq");
  }
  return answer;
}

}  // namespace carrel::zmq
