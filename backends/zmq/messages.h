// Every message: its number, its body, and what answers it.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "fields.h"
#include "frame.h"

namespace carrel::zmq {

// What a key may ask for. Each may all that those before it may.
enum class KeyRole : std::uint8_t { kProducer, kWorker, kAdmin };
template <>
struct LastOf<KeyRole> {
  static constexpr KeyRole value = KeyRole::kAdmin;
};

template <Type type>
struct Message {
  static constexpr Type kType = type;
};
template <Type type>
using AnswerMessage = Message<answer_to(type)>;

// Session.

struct Hello : Message<Type::kHello> {
  std::string client;  // random, of this client's own for as long as it lives; 1–64 bytes
  std::string name;    // for people: program, host, pid; at most 128 bytes
  Duration heartbeat{};  // it will be heard of at least this often; 100 ms to 60 s
  std::uint64_t answer_limit = 0;  // bytes of the longest frame that it takes
};
template <class A, Of<Hello> T>
void fields(A& a, T& m) {
  a(m.client, m.name, m.heartbeat, m.answer_limit);
}

struct Welcome : AnswerMessage<Type::kHello> {
  std::string broker;  // for people: what it is and its version
  KeyRole role = KeyRole::kProducer;
  bool hosts_store = false;       // else tickets only: PUBLISH and RECEIVE
  bool durable = false;           // the store's rows outlive the broker
  bool limits = false;            // the store honours NewJob's limit
  bool unique = false;            // likewise its unique
  bool rates = false;             // likewise its rate
  bool prioritised = false;       // RECEIVE gives lower priority values first
  std::uint32_t max_batch = 0;    // rows of one request
  std::uint64_t max_payload = 0;  // bytes of a payload, result or checkpoint
  std::uint64_t max_frame = 0;    // bytes of the longest frame that the broker takes
  std::uint32_t window = 0;       // requests without an answer, at most
};
template <class A, Of<Welcome> T>
void fields(A& a, T& m) {
  a(m.broker, m.role, m.hosts_store, m.durable, m.limits, m.unique, m.rates,
    m.prioritised, m.max_batch, m.max_payload, m.max_frame, m.window);
}

struct Heartbeat : Message<Type::kHeartbeat> {
  Duration next{};  // the next comes within this time, instead of HELLO's
};
template <class A, Of<Heartbeat> T>
void fields(A& a, T& m) {
  a(m.next);
}
struct HeartbeatAnswer : AnswerMessage<Type::kHeartbeat> {};
template <class A, Of<HeartbeatAnswer> T>
void fields(A&, T&) {}

struct Bye : Message<Type::kBye> {};
template <class A, Of<Bye> T>
void fields(A&, T&) {}

struct Abandon : Message<Type::kAbandon> {
  std::uint64_t request = 0;  // a TAKE, AWAIT or RECEIVE that is to be answered now
};
template <class A, Of<Abandon> T>
void fields(A& a, T& m) {
  a(m.request);
}

// Answers to any request.

struct Busy : Message<Type::kBusy> {};  // not done; the same again, later
template <class A, Of<Busy> T>
void fields(A&, T&) {}

struct Refused : Message<Type::kRefused> {  // not done; begin again with HELLO
  // kUnavailable: this session is not known, HELLO helps. Else it does not.
  Error error;
};
template <class A, Of<Refused> T>
void fields(A& a, T& m) {
  a(m.error);
}

struct Failed : Message<Type::kError> {  // this request failed
  Error error;
};
template <class A, Of<Failed> T>
void fields(A& a, T& m) {
  a(m.error);
}

// An answer that is one value.
template <Type request, class T>
struct Value : AnswerMessage<request> {
  T value{};
};
template <class A, Type request, class V>
void fields(A& a, Value<request, V>& m) {
  a(m.value);
}
template <class A, Type request, class V>
void fields(A& a, const Value<request, V>& m) {
  a(m.value);
}

// Store. Requests with many rows are written from a span and read into a vector: both
// are forms of one template.
template <class T, template <class> class M>
inline constexpr bool is_form = false;
template <class L, template <class> class M>
inline constexpr bool is_form<M<L>, M> = true;
template <class T, template <class> class M>
concept FormOf = is_form<std::remove_const_t<T>, M>;

template <class List>
struct EnqueueOf : Message<Type::kEnqueue> {
  using Answer = Value<Type::kEnqueue, std::vector<Result<Inserted>>>;
  List jobs;
  Duration deadline{};  // not begun after this long
};
template <class A, FormOf<EnqueueOf> T>
void fields(A& a, T& m) {
  a(m.jobs, m.deadline);
}
using Enqueue = EnqueueOf<std::vector<NewJob>>;

// A Demand, as requests carry it.
struct Demanded {
  std::vector<std::string> queues;  // empty: every queue
  std::vector<std::string> kinds;
  std::uint32_t max = 0;
  bool in_order = false;
  std::vector<QueueBound> bounds;

  void set(const Demand& d, std::size_t most) {
    queues.assign(d.queues.begin(), d.queues.end());
    kinds.assign(d.kinds.begin(), d.kinds.end());
    max = static_cast<std::uint32_t>(
        std::min<std::size_t>({d.max, most, std::numeric_limits<std::uint32_t>::max()}));
    in_order = d.in_order;
    bounds.assign(d.bounds.begin(), d.bounds.end());
  }
  Demand demand() const { return {queues, kinds, max, in_order, bounds}; }
};
inline Demanded& of_demand(Demanded& m) { return m; }
inline const Demanded& of_demand(const Demanded& m) { return m; }
template <class A, Of<Demanded> T>
void fields(A& a, T& m) {
  a(m.queues, m.kinds, m.max, m.in_order, m.bounds);
}

struct TakeAnswer : AnswerMessage<Type::kTake> {
  std::vector<Claimed> value;
  // How long the TAKE had been at the broker when their leases were asked for: these last
  // from then on at the least.
  Duration waited{};
};
template <class A, Of<TakeAnswer> T>
void fields(A& a, T& m) {
  a(m.value, m.waited);
}

struct Take : Message<Type::kTake>, Demanded {
  using Answer = TakeAnswer;
  std::string worker;
  std::uint64_t claim_number = 0;
  Duration lease{};
  Duration wait{};
};
template <class A, Of<Take> T>
void fields(A& a, T& m) {
  fields(a, of_demand(m));
  a(m.worker, m.claim_number, m.lease, m.wait);
}

template <class List>
struct ClaimOf : Message<Type::kClaim> {
  using Answer = Value<Type::kClaim, std::vector<ClaimAnswer>>;
  List tickets;
  std::string worker;
  std::uint64_t claim_number = 0;
  Duration lease{};
};
template <class A, FormOf<ClaimOf> T>
void fields(A& a, T& m) {
  a(m.tickets, m.worker, m.claim_number, m.lease);
}
using ClaimAsk = ClaimOf<std::vector<Ticket>>;

template <class List>
struct BeatOf : Message<Type::kBeat> {
  using Answer = Value<Type::kBeat, std::vector<Pulse>>;
  std::string worker;
  std::uint64_t settled_claim = 0;
  List beats;
  bool renew = false;
  Duration lease{};
};
template <class A, FormOf<BeatOf> T>
void fields(A& a, T& m) {
  a(m.worker, m.settled_claim, m.beats, m.renew, m.lease);
}
using BeatAsk = BeatOf<std::vector<Beat>>;

template <class List>
struct FinishOf : Message<Type::kFinish> {
  using Answer = Value<Type::kFinish, std::vector<Result<Finished>>>;
  List runs;
};
template <class A, FormOf<FinishOf> T>
void fields(A& a, T& m) {
  a(m.runs);
}
using FinishAsk = FinishOf<std::vector<Finish>>;

struct CancelAsk : Message<Type::kCancel> {
  using Answer = Value<Type::kCancel, std::vector<Cancelled>>;
  std::vector<JobId> ids;
};
template <class A, Of<CancelAsk> T>
void fields(A& a, T& m) {
  a(m.ids);
}

struct RetryAsk : Message<Type::kRetry> {
  using Answer = Value<Type::kRetry, std::vector<Result<Ticket>>>;
  std::vector<JobId> ids;
};
template <class A, Of<RetryAsk> T>
void fields(A& a, T& m) {
  a(m.ids);
}

struct PeekAsk : Message<Type::kPeek>, Demanded {
  using Answer = Value<Type::kPeek, std::vector<Ticket>>;
};
template <class A, Of<PeekAsk> T>
void fields(A& a, T& m) {
  fields(a, of_demand(m));
}

struct SweepAsk : Message<Type::kSweep> {
  using Answer = Value<Type::kSweep, Swept>;
  std::uint32_t max = 0;
};
template <class A, Of<SweepAsk> T>
void fields(A& a, T& m) {
  a(m.max);
}

struct PauseAsk : Message<Type::kPause> {
  using Answer = Value<Type::kPause, std::vector<Ticket>>;
  std::string queue;
  bool paused = false;
};
template <class A, Of<PauseAsk> T>
void fields(A& a, T& m) {
  a(m.queue, m.paused);
}

struct AwaitAsk : Message<Type::kAwait> {
  using Answer = Value<Type::kAwait, std::vector<JobId>>;
  std::vector<JobId> ids;
  Duration wait{};
};
template <class A, Of<AwaitAsk> T>
void fields(A& a, T& m) {
  a(m.ids, m.wait);
}

struct JobAsk : Message<Type::kJob> {
  using Answer = Value<Type::kJob, JobRecord>;
  JobId id{};
};
template <class A, Of<JobAsk> T>
void fields(A& a, T& m) {
  a(m.id);
}

struct ListAsk : Message<Type::kList> {
  using Answer = Value<Type::kList, std::vector<JobRecord>>;
  Filter filter;
  JobId before{};
  std::uint32_t limit = 0;
};
template <class A, Of<ListAsk> T>
void fields(A& a, T& m) {
  a(m.filter, m.before, m.limit);
}

struct CountsAsk : Message<Type::kCounts> {
  using Answer = Value<Type::kCounts, Counts>;
};
template <class A, Of<CountsAsk> T>
void fields(A&, T&) {}

struct PausedAsk : Message<Type::kPaused> {
  using Answer = Value<Type::kPaused, std::vector<std::string>>;
};
template <class A, Of<PausedAsk> T>
void fields(A&, T&) {}

// Queue.

template <class List>
struct PublishOf : Message<Type::kPublish> {
  using Answer = Value<Type::kPublish, std::uint32_t>;  // how many were taken
  List tickets;
};
template <class A, FormOf<PublishOf> T>
void fields(A& a, T& m) {
  a(m.tickets);
}
using Publish = PublishOf<std::vector<Ticket>>;

struct Delivered {
  std::vector<Queue::Delivery> deliveries;
  std::uint64_t backlog = 0;  // tickets that wait for this demand still
};
template <class A, Of<Delivered> T>
void fields(A& a, T& d) {
  a(d.deliveries, d.backlog);
}
struct ReceiveAsk : Message<Type::kReceive>, Demanded {
  using Answer = Value<Type::kReceive, Delivered>;
  Duration wait{};
};
template <class A, Of<ReceiveAsk> T>
void fields(A& a, T& m) {
  fields(a, of_demand(m));
  a(m.wait);
}

// How a message becomes a frame, and a frame's body a message.

template <class M>
std::string encode(const M& message) {
  std::string frame = begin_frame(M::kType);
  Encoder encoder(frame);
  fields(encoder, message);
  return frame;
}

// False: the body is no M, or not all of it is.
template <class M>
bool decode(std::string_view body, M& message) {
  Decoder decoder(body);
  fields(decoder, message);
  return decoder.whole();
}

// Whether the frame is a message of this version, understood to its last byte. What is
// understood is written again as it was read; anything else is a defect: std::abort.
bool understood(std::string_view frame);

}  // namespace carrel::zmq
