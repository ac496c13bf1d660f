// Which members of the engine's types go over the wire, in which order: one function a
// type. A member that is added here changes the protocol: raise kVersion in frame.h, and
// say it in PROTOCOL.md.
#pragma once

#include <carrel/job.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include "archive.h"

namespace carrel::zmq {

template <>
struct LastOf<Code> {
  static constexpr Code value = Code::kDiscarded;
};
template <>
struct LastOf<State> {
  static constexpr State value = State::kDiscarded;
};
template <>
struct LastOf<Refusal> {
  static constexpr Refusal value = Refusal::kLimited;
};
template <>
struct LastOf<OutcomeClass> {
  static constexpr OutcomeClass value = OutcomeClass::kResourceError;
};
template <>
struct LastOf<Rung> {
  static constexpr Rung value = Rung::kKill;
};
template <>
struct LastOf<Verdict> {
  static constexpr Verdict value = Verdict::kInterrupted;
};
template <>
struct LastOf<Finished::Kind> {
  static constexpr Finished::Kind value = Finished::Kind::kStale;
};
template <>
struct LastOf<Pulse> {
  static constexpr Pulse value = Pulse::kHeld;
};
template <>
struct LastOf<Cancelled> {
  static constexpr Cancelled value = Cancelled::kNotFound;
};

template <>
struct LastOf<OnConflict> {
  static constexpr OnConflict value = OnConflict::kReplaceKeepTime;
};

template <class A, Of<Error> T>
void fields(A& a, T& e) {
  a(e.code, e.message, e.origin, e.native, e.retry_in);
}

template <class A, Of<Limit> T>
void fields(A& a, T& l) {
  a(l.key, l.running);
}

template <class A, Of<Rate> T>
void fields(A& a, T& r) {
  a(r.key, r.starts, r.period);
}

template <class A, Of<Unique> T>
void fields(A& a, T& u) {
  a(u.key, u.period, u.states, u.on_conflict);
}

template <class A, Of<NewJob> T>
void fields(A& a, T& j) {
  a(j.queue, j.kind, j.payload, j.request_id, j.delay, j.start_within, j.timeout,
    j.priority, j.max_attempts, j.limit, j.unique, j.rate);
}

template <class A, Of<QueueBound> T>
void fields(A& a, T& b) {
  static_assert(sizeof b.most == 8, "counts are u64 on the wire");
  a(b.queue, b.most);
}

template <class A, Of<Ticket> T>
void fields(A& a, T& t) {
  a(t.id, t.queue, t.kind, t.priority);
}

template <class A, Of<Inserted> T>
void fields(A& a, T& i) {
  a(i.id, i.existed, i.replaced, i.ticket);
}

template <class A, Of<Lease> T>
void fields(A& a, T& l) {
  a(l.id, l.fence);
}

template <class A, Of<Claimed> T>
void fields(A& a, T& c) {
  a(c.lease, c.queue, c.kind, c.payload, c.checkpoint, c.timeout, c.priority, c.attempt,
    c.max_attempts, c.crashes);
}

template <class A, Of<Usage> T>
void fields(A& a, T& u) {
  a(u.wall, u.cpu, u.max_rss_bytes);
}

template <class A, Of<Attempt> T>
void fields(A& a, T& t) {
  a(t.attempt, t.fence, t.klass, t.message, t.code, t.native, t.exit_code, t.signal,
    t.usage, t.stderr_tail, t.rung, t.leftover_killed, t.enforced, t.worker, t.started,
    t.ended);
}

template <class A, Of<Progress> T>
void fields(A& a, T& p) {
  a(p.fraction, p.message);
}

template <class A, Of<Finish> T>
void fields(A& a, T& f) {
  a(f.lease, f.verdict, f.retry_in, f.crashed, f.result, f.attempt, f.progress,
    f.checkpoint, f.log);
}

template <class A, Of<Finished> T>
void fields(A& a, T& f) {
  a(f.kind, f.state, f.freed);
}

template <class A, Of<Beat> T>
void fields(A& a, T& b) {
  a(b.lease, b.progress, b.checkpoint, b.log);
}

template <class A, Of<Swept> T>
void fields(A& a, T& s) {
  static_assert(sizeof s.rescued == 8, "counts are u64 on the wire");
  a(s.due, s.rescued, s.discarded, s.purged, s.next);
}

template <class A, Of<JobRecord> T>
void fields(A& a, T& r) {
  a(r.id, r.state, r.queue, r.kind, r.payload, r.request_id, r.result, r.checkpoint,
    r.worker, r.log, r.fence, r.priority, r.attempt, r.max_attempts, r.crashes,
    r.cancel_requested, r.limit, r.rate, r.unique_key, r.progress, r.attempts, r.timeout,
    r.enqueued, r.run_at, r.expires, r.started, r.ended);
}

template <class A, Of<Filter> T>
void fields(A& a, T& f) {
  a(f.states, f.queue, f.kind, f.older_than);
}

template <class A, Of<Counts> T>
void fields(A& a, T& c) {
  a(c.by_queue, c.total, c.available_by_kind, c.oldest_available);
}

template <class A, Of<Queue::Delivery> T>
void fields(A& a, T& d) {
  a(d.ticket, d.receipt);
}

}  // namespace carrel::zmq
