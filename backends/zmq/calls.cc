#include "calls.h"

#include <carrel/clock.h>

#include <algorithm>
#include <utility>

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxWaiting = 4'096;  // calls that wait, of one client
constexpr Duration kLongestWait = 60s;
constexpr auto kStoreComplaints = 60s;    // of the store: no more often
constexpr std::size_t kReadsAtOnce = 16;  // requests with long answers, of one client

std::string error_of(Code code, std::string why) {
  return error_frame({code, std::move(why), "zmq"});
}

}  // namespace

Calls::Calls(const BrokerOptions& options, Sessions& sessions, Store* store,
             Queue& tickets, BrokerHealth& counted, std::function<void(Done)> done)
    : options_(options),
      sessions_(sessions),
      store_(store),
      tickets_(tickets),
      counted_(counted),
      repeats_(options.max_in_flight),
      next_look_(Clock::now() + options.poll),
      next_sweep_(Clock::now()) {
  if (store_ == nullptr) return;
  service_ = std::make_unique<Service>(*store_);
  if (store_->traits().blocks) {
    lanes_ = std::make_unique<Lanes>(*service_, std::move(done));
  }
}

void Calls::begin(const SessionPtr& session, const Head& head, std::string_view frame) {
  if (head.type == Type::kAbandon) return on_abandon(session, body_of(frame));
  on_request(session, head, frame);
}

void Calls::on_abandon(const SessionPtr& session, std::string_view body) {
  Abandon abandon;
  if (!decode(body, abandon)) return sessions_.on_malformed(session);
  const auto it = session->calls.find(abandon.request);
  if (it == session->calls.end()) return;  // answered already
  const CallPtr call = it->second;
  call->abandoned = true;
  if (call->can_end()) answer_empty(call);
}

bool Calls::has_room(const Session& session, Type type, std::size_t bytes) const {
  if (waits(type)) {
    return session.waiting < kMaxWaiting &&
           session.waiting_bytes + bytes <= options_.max_unread &&
           waiting_bytes_ + bytes <= options_.max_in_flight;
  }
  if (reads(type) && session.reads >= kReadsAtOnce) return false;
  // A beat finds room where nothing else does any more.
  const std::size_t share = type == Type::kBeat ? 2 : 1;
  return session.in_flight < share * options_.window &&
         in_flight_bytes_ + bytes <= share * options_.max_in_flight;
}

void Calls::on_request(const SessionPtr& session, const Head& head,
                       std::string_view frame) {
  ++counted_.requests;
  if (done_once(head.type) && answer_again(session, head.id)) return;
  auto request = read_request(head.type, body_of(frame));
  if (!request || session->calls.contains(head.id)) {
    sessions_.send(session, head.id,
                   error_of(Code::kInvalid, "this request is not understood"));
    return sessions_.on_malformed(session);
  }
  if (auto no = objection(*session, head, *request, frame.size())) {
    sessions_.send(session, head.id, std::move(*no));
    return;
  }
  auto call = std::make_shared<Call>();
  call->session = session;
  call->id = head.id;
  call->type = head.type;
  call->bytes = frame.size();
  call->answer_limit = session->answer_limit;
  if (call->type == Type::kTake) call->arrived = boot_time();
  call->until = Clock::now() + std::clamp(wait_of(*request), Duration{0}, kLongestWait);
  call->request = std::move(*request);
  if (waits(call->type)) {
    session->calls.emplace(call->id, call);
    ++session->waiting;
    session->waiting_bytes += call->bytes;
    waiting_bytes_ += call->bytes;
  } else {
    ++session->in_flight;
    session->reads += reads(call->type) ? 1 : 0;
  }
  if (done_once(call->type)) repeats_.begin(call);
  begin(call);
}

bool Calls::answer_again(const SessionPtr& session, std::uint64_t id) {
  const Repeats::Known* const known = repeats_.find(session->client, id);
  if (known == nullptr) return false;
  if (const CallPtr& call = known->under_way; !call) {
    sessions_.send(session, id, known->answer);
  } else if (call->session != session) {  // the one before, which is gone
    call->session = session;
    ++session->in_flight;
  }
  return true;
}

void Calls::read(const SessionPtr& session, std::uint64_t id) {
  repeats_.read(session->client, id);
}

std::optional<std::string> Calls::objection(const Session& session, const Head& head,
                                            const Request& request, std::size_t bytes) {
  if (session.role < needed_for(head.type)) {
    ++counted_.refused;
    return error_of(Code::kInvalid,
                    "a key of the role \"" + std::string(to_string(session.role)) +
                        "\" may not ask for this; it takes \"" +
                        std::string(to_string(needed_for(head.type))) + "\"");
  }
  if (store_ == nullptr && !for_queue(head.type)) {
    return error_of(Code::kUnsupported,
                    "this broker carries tickets only: it hosts no store");
  }
  if (auto ok = check(request, kMaxBatch); !ok) return error_frame(ok.error());
  if (!has_room(session, head.type, bytes)) {
    ++counted_.busy;
    return encode(Busy{});
  }
  return std::nullopt;
}

void Calls::begin(const CallPtr& call) {
  if (call->type == Type::kTake || call->type == Type::kClaim) claims_.add(call);
  if (const auto* m = std::get_if<BeatAsk>(&call->request)) begin_beat(*m);
  if (call->type == Type::kPublish) return publish(call);
  if (call->type == Type::kReceive) return receive_tickets(call);
  // Before it is asked: what ends meanwhile is not missed.
  if (call->type == Type::kAwait && wait_of(call->request) > 0s) await(call);
  submit(call);
}

// What the worker has given up, it must not get any more: after this beat nobody would
// set it free.
void Calls::begin_beat(const BeatAsk& beat) {
  for (const CallPtr& call : claims_.settled(beat.worker, beat.settled_claim)) {
    if (call->waiting) {
      answer_empty(call);
    } else {
      call->lost = true;
      call->over = true;
    }
  }
}

void Calls::publish(const CallPtr& call) {
  const auto& tickets = std::get<Publish>(call->request).tickets;
  Publish::Answer taken;
  taken.value = static_cast<std::uint32_t>(tickets_.publish(tickets));
  answer(call, encode(taken));
  for (const CallPtr& waiting : receives_.call_for(tickets)) receive_tickets(waiting);
}

void Calls::receive_tickets(const CallPtr& call) {
  const auto& m = std::get<ReceiveAsk>(call->request);
  const Demand demand = m.demand();
  auto deliveries = tickets_.receive(demand, Duration{0});
  if (deliveries && deliveries->empty() && may_wait(*call)) {
    return wait(call);
  }
  ReceiveAsk::Answer received;
  if (deliveries) received.value.deliveries = std::move(*deliveries);
  received.value.backlog = tickets_.backlog(demand);
  answer(call, encode(received));
}

void Calls::submit(const CallPtr& call) {
  call->seen_changes = changes_;
  call->with_store = true;
  ++in_flight_;
  in_flight_bytes_ += call->bytes;
  if (lanes_) {
    lanes_->submit(call);
  } else {
    ready_.push_back(call);
  }
}

// A store that does not block is asked here.
void Calls::carry_out() {
  while (!ready_.empty()) {
    const std::vector<CallPtr> calls(ready_.begin(), ready_.end());
    ready_.clear();
    service_->run(calls, [this](Done done) { on_done(std::move(done)); });
  }
}

void Calls::on_done(Done done) {
  const CallPtr call = done.call;
  call->with_store = false;
  if (call->answered && waits(call->type)) stop_counting(*call);
  --in_flight_;
  in_flight_bytes_ -= call->bytes;
  const News news = std::move(done.news);
  if (done.trouble) tell_trouble(*done.trouble);
  if (call->type == Type::kSweep && !call->session) {
    sweeping_ = false;
    next_sweep_ = Clock::now() + options_.poll;
  }
  if (call->type == Type::kAwait && !call->session) {
    looking_ = false;
    if (look_wanted_) look_again();
  }
  if (call->type == Type::kTake || call->type == Type::kClaim) {
    on_taken(std::move(done));
  } else if (call->type == Type::kAwait) {
    on_awaited(std::move(done));
  } else {
    answer(call, std::move(done.frame));
  }
  spread(news);
}

void Calls::on_taken(Done done) {
  const CallPtr& call = done.call;
  // Nor does it get more who has not read what he got.
  const bool reading = call->session->unread_bytes <= options_.max_unread;
  if (call->lost || call->session->gone || !(done.empty || reading)) {
    // It was called for jobs, perhaps, and did not look: another is to.
    if (done.granted.empty()) wake(takes_.call_first());
    release(done.granted);
    return answer_empty(call);
  }
  if (done.empty && may_wait(*call)) {
    // What became available while it looked elsewhere, nobody would tell it.
    return call->seen_changes == changes_ ? wait(call) : submit(call);
  }
  if (!answer(call, std::move(done.frame))) release(done.granted);
}

void Calls::on_awaited(Done done) {
  const CallPtr& call = done.call;
  if (call->answered) return;
  if (done.empty && may_wait(*call)) {
    return;  // it is among awaits_
  }
  answer(call, std::move(done.frame));
}

// The end of a call, whatever it was. False: nobody hears of it.
bool Calls::answer(const CallPtr& call, std::string frame) {
  if (std::exchange(call->answered, true)) return false;
  call->over = true;
  timers_.erase({call->until, call});
  if (call->waiting) (call->type == Type::kTake ? takes_ : receives_).remove(call);
  if (call->type == Type::kAwait) awaits_.remove(call);
  if (call->type == Type::kTake || call->type == Type::kClaim) claims_.remove(call);
  const SessionPtr& session = call->session;
  if (!session) return false;
  if (done_once(call->type)) repeats_.answered(*call, frame, Clock::now());
  if (waits(call->type)) {
    session->calls.erase(call->id);
    if (!call->with_store) stop_counting(*call);
  } else {
    --session->in_flight;
    session->reads -= reads(call->type) ? 1 : 0;
  }
  return !session->gone && sessions_.send(session, call->id, std::move(frame));
}

// Its clients are told, too, but by a sweep nobody is, and whoever looks after the broker
// reads its log.
void Calls::tell_trouble(const Error& error) {
  const auto now = Clock::now();
  if (now < next_complaint_) return;
  next_complaint_ = now + kStoreComplaints;
  options_.log(LogLevel::kWarn, "broker: its store: " + error.message);
}

void Calls::stop_counting(const Call& call) {
  if (!call.session) return;
  --call.session->waiting;
  call.session->waiting_bytes -= call.bytes;
  waiting_bytes_ -= call.bytes;
}

// Jobs that were granted to somebody who will never know.
void Calls::release(std::span<const Lease> leases) {
  if (leases.empty()) return;
  FinishAsk finish;
  for (const Lease& lease : leases) {
    Finish& run = finish.runs.emplace_back();
    run.lease = lease;
    run.verdict = Verdict::kReleased;
  }
  counted_.released += leases.size();
  submit_own(std::move(finish));
}

void Calls::submit_own(Request request) {
  auto call = std::make_shared<Call>();
  call->type = std::visit([](const auto& m) { return m.kType; }, request);
  call->request = std::move(request);
  submit(call);
}

}  // namespace carrel::zmq
