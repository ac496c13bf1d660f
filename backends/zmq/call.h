// A request on its way through the broker, and what came of it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "messages.h"

namespace carrel::zmq {

using Clock = std::chrono::steady_clock;
using Request = std::variant<Enqueue, Take, ClaimAsk, BeatAsk, FinishAsk, CancelAsk,
                             RetryAsk, PeekAsk, SweepAsk, PauseAsk, AwaitAsk, JobAsk,
                             ListAsk, CountsAsk, PausedAsk, Publish, ReceiveAsk>;

struct Session;
using SessionPtr = std::shared_ptr<Session>;

// Threads: what is not const belongs to the broker's loop, but for `request`, which is
// the lane's while the call is there, and `over`.
struct Call {
  SessionPtr session;  // that asked last; null: the broker's own
  std::uint64_t id = 0;
  Type type = Type::kError;
  std::size_t bytes = 0;         // of its frame
  std::size_t answer_limit = 0;  // of the answer's
  Duration arrived{};            // boot_time() then; TAKE only
  Clock::time_point until{};     // TAKE, AWAIT, RECEIVE: to be answered by then
  Request request;
  std::uint64_t seen_changes = 0;  // of the loop, when it was handed to the store
  bool waiting = false;            // parked in the loop
  bool with_store = false;         // handed to it, and not back
  bool answered = false;           // or nobody is there to be answered
  bool abandoned = false;          // to be answered as soon as the store has answered
  bool lost = false;               // what it gets, nobody wants: to be released
  std::atomic<bool> over{false};   // nobody waits for it: the store need not be asked

  // At any time: what is with the store cannot.
  bool can_end() const noexcept { return waiting || type == Type::kAwait; }
};
using CallPtr = std::shared_ptr<Call>;

// What a call changed that others wait for.
struct News {
  std::vector<Ticket> available;   // jobs that may be taken now
  bool maybe_available = false;    // others, too
  std::vector<JobId> ended;        // jobs that are final
  bool maybe_ended = false;        // others, too
  Duration due = Duration::max();  // a sweep has something to do by then
};

struct Done {
  CallPtr call;
  std::string frame;           // the answer; without id
  bool empty = false;          // of TAKE and AWAIT: there is nothing now
  std::vector<Lease> granted;  // of TAKE and CLAIM
  News news;
  std::optional<Error> trouble;  // of the store, and not of what was asked
};

// One client, from its HELLO on. Only the broker's loop touches it.
struct Session {
  std::string route;   // ROUTER's name for the connection
  std::string client;  // its own name; empty: it has not said HELLO
  std::string name;    // for people
  std::string user;    // its public key; empty: no CURVE
  KeyRole role = KeyRole::kProducer;
  std::uint64_t answer_limit = 0;
  Duration interval{};               // between its heartbeats
  Clock::time_point silent_after{};  // forgotten then
  Clock::time_point quarantined_until{};
  unsigned malformed = 0;
  std::size_t in_flight = 0;               // requests in its window
  std::size_t reads = 0;                   // those of them that have long answers
  std::map<std::uint64_t, CallPtr> calls;  // TAKE, AWAIT, RECEIVE: what it may abandon
  std::size_t waiting = 0;        // of these, and of those that the store still has
  std::size_t waiting_bytes = 0;  // of their requests
  std::uint64_t sent = 0;         // answers
  struct Unread {
    std::uint64_t id;  // of the request
    std::size_t bytes;
  };
  std::deque<Unread> unread;  // the last of them
  std::size_t unread_bytes = 0;
  bool gone = false;
};

// It is for the queue of tickets, and needs no store.
bool for_queue(Type type) noexcept;
// Its answer may be much longer than the request.
bool reads(Type type) noexcept;
// It writes, and clients ask it again when they have not heard its answer (repeats.h).
bool done_once(Type type) noexcept;
// The least role that may ask for it.
KeyRole needed_for(Type type) noexcept;
Duration wait_of(const Request& request) noexcept;  // 0: not at all
// Who asks for jobs, and by what number; TAKE and CLAIM only.
struct ClaimName {
  const std::string& worker;
  std::uint64_t number;
};
ClaimName claim_of(const Call& call);

// Of Request, by the number in its frame; nothing: there is none, or it is malformed.
std::optional<Request> read_request(Type type, std::string_view body);
// What it may not ask for, whoever it is: lengths, durations, counts.
Result<void> check(const Request& request, std::size_t max_batch);

}  // namespace carrel::zmq
