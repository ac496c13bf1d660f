#include "loop.h"

#include <carrel/memory.h>

#include <algorithm>
#include <array>

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

constexpr int kReceiveAtOnce = 256;
constexpr std::size_t kMaxWaiting = 4'096;  // calls that wait, of one client
constexpr unsigned kMalformedAllowed = 10;
constexpr auto kQuarantine = 60s;
constexpr auto kStranger = 10s;  // from the connection to HELLO
constexpr int kMisses = 3;
constexpr auto kGrace = 3s;
constexpr auto kCleaning = 1s;
constexpr Duration kLongestWait = std::chrono::seconds(60);
constexpr std::uint32_t kMaxBatch = 1'024;
constexpr std::size_t kEnvelope = std::size_t{64} << 10;  // of a row, without payload
constexpr std::uint32_t kSweepAtOnce = 1'000;
constexpr std::size_t kLeastAnswer = std::size_t{1} << 16;

bool waits(Type type) {
  return type == Type::kTake || type == Type::kAwait || type == Type::kReceive;
}

bool for_queue(Type type) { return type == Type::kPublish || type == Type::kReceive; }

KeyRole needed_for(Type type) {
  switch (type) {
    case Type::kTake:
    case Type::kClaim:
    case Type::kBeat:
    case Type::kFinish:
    case Type::kPeek:
    case Type::kSweep:
    case Type::kReceive:
      return KeyRole::kWorker;
    case Type::kRetry:
    case Type::kPause:
      return KeyRole::kAdmin;
    default:
      return KeyRole::kProducer;
  }
}

Duration wait_of(const Request& request) {
  if (const auto* m = std::get_if<Take>(&request)) return m->wait;
  if (const auto* m = std::get_if<AwaitAsk>(&request)) return m->wait;
  if (const auto* m = std::get_if<ReceiveAsk>(&request)) return m->wait;
  return Duration{0};
}

std::string error_of(Code code, std::string why) {
  return error_frame({code, std::move(why), "zmq"});
}

}  // namespace

Loop::Loop(const BrokerOptions& options, ::zmq::socket_t router,
           std::shared_ptr<const Keys> keys, Store* store)
    : options_(options),
      router_(std::move(router)),
      keys_(std::move(keys)),
      store_(store),
      tickets_(make_memory_queue(options.max_tickets)),
      next_look_(Clock::now() + options.poll),
      next_sweep_(Clock::now()),
      next_cleaning_(Clock::now() + kCleaning) {
  if (store_ == nullptr) return;
  service_ = std::make_unique<Service>(*store_);
  if (store_->traits().blocks) {
    lanes_ = std::make_unique<Lanes>(*service_,
                                     [this](Done done) { inbox_.push(std::move(done)); });
  }
}

void Loop::run() {
  while (!stopping_) {
    try {
      turn();
    } catch (const ::zmq::error_t& e) {
      if (e.num() != EINTR)
        options_.log(LogLevel::kError, std::string("broker: ") + e.what());
    }
  }
  shut_down();
}

void Loop::turn() {
  keep_time();
  carry_out();
  poll();
  for (auto& item : inbox_.take()) {
    if (auto* done = std::get_if<Done>(&item)) {
      on_done(std::move(*done));
    } else {
      std::get<std::function<void()>>(item)();
    }
  }
  receive();
  carry_out();
}

void Loop::poll() {
  std::array<zmq_pollitem_t, 2> items{};
  items[0] = {router_.handle(), 0, ZMQ_POLLIN, 0};
  items[1] = {nullptr, inbox_.fd(), ZMQ_POLLIN, 0};
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(next_event() - Clock::now());
  zmq_poll(items.data(), items.size(), std::clamp<long>(left.count(), 0, 60'000));
}

Clock::time_point Loop::next_event() const {
  Clock::time_point next = next_cleaning_;
  if (store_ != nullptr) next = std::min(next, next_look_);
  if (store_ != nullptr && options_.sweep && !sweeping_)
    next = std::min(next, next_sweep_);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  return next;
}

void Loop::receive() {
  ::zmq::message_t route;
  ::zmq::message_t frame;
  for (int i = 0; i < kReceiveAtOnce; ++i) {
    if (!router_.recv(route, ::zmq::recv_flags::dontwait)) return;
    bool more = route.more();
    bool one_part =
        more && static_cast<bool>(router_.recv(frame, ::zmq::recv_flags::dontwait));
    more = one_part && frame.more();
    std::string user;
    if (keys_ && one_part) {
      const char* id = zmq_msg_gets(frame.handle(), "User-Id");
      if (id != nullptr) user = id;
    }
    ::zmq::message_t rest;
    while (more) {  // no message of this protocol has a second frame
      one_part = false;
      static_cast<void>(router_.recv(rest, ::zmq::recv_flags::dontwait));
      more = rest.more();
    }
    hear(route.to_string(), user, one_part ? frame.to_string_view() : std::string_view());
  }
}

Loop::SessionPtr Loop::session_of(const std::string& route, const std::string& user) {
  const auto it = sessions_.find(route);
  if (it != sessions_.end()) return it->second;
  if (sessions_.size() >= options_.max_sessions) return nullptr;
  auto session = std::make_shared<Session>();
  session->route = route;
  session->user = user;
  session->interval = kStranger;
  session->silent_after = Clock::now() + kStranger;
  sessions_.emplace(route, session);
  return session;
}

void Loop::hear(const std::string& route, const std::string& user,
                std::string_view frame) {
  const SessionPtr session = session_of(route, user);
  const auto now = Clock::now();
  if (!session || now < session->quarantined_until) {
    ++counted_.dropped;
    return;
  }
  const auto head = head_of(frame);
  if (!head) return on_malformed(session);
  if (head->version != kVersion) {
    return refuse(session, head->id, Code::kUnsupported,
                  "this broker speaks version " + std::to_string(kVersion) +
                      " of the protocol, and not version " +
                      std::to_string(head->version));
  }
  if (!may_speak(session, *head)) return;
  session->silent_after = now + kMisses * session->interval + kGrace;
  const std::string_view body = body_of(frame);
  switch (head->type) {
    case Type::kHello:
      return on_hello(session, *head, body);
    case Type::kHeartbeat:
      return on_heartbeat(session, *head, body);
    case Type::kBye:
      return drop(session);
    case Type::kAbandon:
      return on_abandon(session, body);
    default:
      return on_request(session, *head, frame);
  }
}

bool Loop::may_speak(const SessionPtr& session, const Head& head) {
  if (keys_) {
    const auto entry = keys_->find(session->user);
    if (!entry) {
      refuse(session, head.id, Code::kInvalid,
             "this key is no longer among the broker's keys");
      drop(session);
      return false;
    }
    session->role = entry->role;
  } else {
    session->role = KeyRole::kAdmin;
  }
  if (head.type == Type::kHello) return true;
  if (session->client.empty()) {
    refuse(session, head.id, Code::kUnavailable,
           "HELLO comes first: this session is not known");
    return false;
  }
  if (head.received > session->sent ||
      session->sent - head.received > session->unread.size()) {
    on_malformed(session);
    return false;
  }
  while (session->unread.size() > session->sent - head.received) {
    session->unread_bytes -= session->unread.front();
    session->unread.pop_front();
  }
  // Who does not read his answers is answered no more.
  if (session->unread_bytes > options_.max_unread) {
    ++counted_.dropped;
    return false;
  }
  return true;
}

void Loop::on_hello(const SessionPtr& session, const Head& head, std::string_view body) {
  Hello hello;
  if (!decode(body, hello) || hello.client.empty() || hello.client.size() > 64 ||
      hello.name.size() > 128 || hello.heartbeat < 100ms || hello.heartbeat > 60s) {
    return on_malformed(session);
  }
  if (!session->client.empty()) {
    return refuse(session, head.id, Code::kInvalid, "HELLO was said already");
  }
  // The same client over an older connection: whatever still comes from there is late.
  if (const auto old = clients_.find(hello.client); old != clients_.end()) {
    const SessionPtr late = old->second;
    drop(late);
  }
  session->client = hello.client;
  session->name = hello.name;
  session->interval = hello.heartbeat;
  session->silent_after = Clock::now() + kMisses * session->interval + kGrace;
  session->answer_limit = std::max<std::uint64_t>(hello.answer_limit, kLeastAnswer);
  clients_[hello.client] = session;

  Welcome welcome;
  welcome.broker = "carrel";
  welcome.role = session->role;
  welcome.hosts_store = store_ != nullptr;
  welcome.prioritised = tickets_->traits().prioritised;
  welcome.max_batch = kMaxBatch;
  welcome.max_frame = options_.max_frame;
  welcome.max_payload = options_.max_frame - std::min(kEnvelope, options_.max_frame / 2);
  welcome.window = options_.window;
  if (store_ != nullptr) {
    const StoreTraits traits = store_->traits();
    welcome.durable = traits.durable;
    welcome.limits = traits.limits;
    if (traits.max_payload > 0) {
      welcome.max_payload = std::min(welcome.max_payload, traits.max_payload);
    }
  }
  send(session, head.id, encode(welcome));
}

void Loop::on_heartbeat(const SessionPtr& session, const Head& head,
                        std::string_view body) {
  Heartbeat beat;
  if (!decode(body, beat) || beat.next < 100ms || beat.next > 60s) {
    return on_malformed(session);
  }
  session->interval = beat.next;
  session->silent_after = Clock::now() + kMisses * session->interval + kGrace;
  send(session, head.id, encode(HeartbeatAnswer{}));
}

void Loop::on_abandon(const SessionPtr& session, std::string_view body) {
  Abandon abandon;
  if (!decode(body, abandon)) return on_malformed(session);
  const auto it = session->calls.find(abandon.request);
  if (it == session->calls.end()) return;  // answered already
  const CallPtr call = it->second;
  call->abandoned = true;
  if (call->waiting || call->type == Type::kAwait) answer_empty(call);
}

bool Loop::has_room(const Session& session, Type type, std::size_t bytes) const {
  if (waits(type)) return session.calls.size() < kMaxWaiting;
  if (type == Type::kBeat) return true;
  return session.in_flight < options_.window &&
         in_flight_bytes_ + bytes <= options_.max_in_flight;
}

void Loop::on_request(const SessionPtr& session, const Head& head,
                      std::string_view frame) {
  ++counted_.requests;
  auto request = read_request(head.type, body_of(frame));
  if (!request) {
    send(session, head.id, error_of(Code::kInvalid, "this request is not understood"));
    return on_malformed(session);
  }
  if (session->role < needed_for(head.type)) {
    ++counted_.refused;
    send(session, head.id,
         error_of(Code::kInvalid,
                  "a key of the role \"" + std::string(to_string(session->role)) +
                      "\" may not ask for this; it takes \"" +
                      std::string(to_string(needed_for(head.type))) + "\""));
    return;
  }
  if (store_ == nullptr && !for_queue(head.type)) {
    send(session, head.id,
         error_of(Code::kUnsupported,
                  "this broker carries tickets only: it hosts no store"));
    return;
  }
  if (auto ok = check(*request, kMaxBatch); !ok) {
    send(session, head.id, error_frame(ok.error()));
    return;
  }
  if (!has_room(*session, head.type, frame.size())) {
    ++counted_.busy;
    send(session, head.id, encode(Busy{}));
    return;
  }
  auto call = std::make_shared<Call>();
  call->session = session;
  call->id = head.id;
  call->type = head.type;
  call->bytes = frame.size();
  call->answer_limit = session->answer_limit;
  call->until = Clock::now() + std::clamp(wait_of(*request), Duration{0}, kLongestWait);
  call->request = std::move(*request);
  waits(call->type) ? static_cast<void>(session->calls[call->id] = call)
                    : static_cast<void>(++session->in_flight);
  begin(call);
}

void Loop::begin(const CallPtr& call) {
  if (const auto* m = std::get_if<Take>(&call->request)) begin_claim(call, m->worker);
  if (const auto* m = std::get_if<ClaimAsk>(&call->request)) begin_claim(call, m->worker);
  if (const auto* m = std::get_if<BeatAsk>(&call->request)) begin_beat(*m);
  if (call->type == Type::kPublish) return publish(call);
  if (call->type == Type::kReceive) return receive_tickets(call);
  // Before it is asked: what ends meanwhile is not missed.
  if (call->type == Type::kAwait && call->until > Clock::now()) await(call);
  submit(call);
}

void Loop::begin_claim(const CallPtr& call, const std::string& worker) {
  claims_[worker].push_back(call);
}

// What the worker has given up, it must not get any more: after this beat nobody would
// set it free.
void Loop::begin_beat(const BeatAsk& beat) {
  const auto it = claims_.find(beat.worker);
  if (it == claims_.end()) return;
  const std::vector<CallPtr> calls = it->second;  // answering takes them out
  for (const CallPtr& call : calls) {
    const auto* take = std::get_if<Take>(&call->request);
    const std::uint64_t number = take != nullptr
                                     ? take->claim_number
                                     : std::get<ClaimAsk>(call->request).claim_number;
    if (number > beat.settled_claim) continue;
    if (call->waiting) {
      answer_empty(call);
    } else {
      call->lost = true;
    }
  }
}

void Loop::publish(const CallPtr& call) {
  const auto& tickets = std::get<Publish>(call->request).tickets;
  Publish::Answer taken;
  taken.value = static_cast<std::uint32_t>(tickets_->publish(tickets));
  answer(call, encode(taken));
  for (const CallPtr& waiting : receives_.call_for(tickets)) receive_tickets(waiting);
}

void Loop::receive_tickets(const CallPtr& call) {
  const auto& m = std::get<ReceiveAsk>(call->request);
  const Demand demand{m.queues, m.kinds, m.max};
  auto deliveries = tickets_->receive(demand, Duration{0});
  if (deliveries && deliveries->empty() && !call->abandoned &&
      call->until > Clock::now()) {
    return wait(call);
  }
  ReceiveAsk::Answer received;
  if (deliveries) received.value.deliveries = std::move(*deliveries);
  received.value.backlog = tickets_->backlog(demand);
  answer(call, encode(received));
}

void Loop::submit(const CallPtr& call) {
  call->seen_changes = changes_;
  ++in_flight_;
  in_flight_bytes_ += call->bytes;
  if (lanes_) {
    lanes_->submit(call);
  } else {
    ready_.push_back(call);
  }
}

// A store that does not block is asked here.
void Loop::carry_out() {
  while (!ready_.empty()) {
    const std::vector<CallPtr> calls(ready_.begin(), ready_.end());
    ready_.clear();
    service_->run(calls, [this](Done done) { on_done(std::move(done)); });
  }
}

void Loop::on_done(Done done) {
  const CallPtr call = done.call;
  --in_flight_;
  in_flight_bytes_ -= call->bytes;
  const News news = std::move(done.news);
  if (call->type == Type::kSweep && !call->session) {
    sweeping_ = false;
    next_sweep_ = Clock::now() + options_.poll;
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

void Loop::on_taken(Done done) {
  const CallPtr& call = done.call;
  if (call->lost || call->session->gone) {
    release(done.granted);
    return answer_empty(call);
  }
  if (done.empty && !call->abandoned && call->until > Clock::now()) {
    // What became available while it looked elsewhere, nobody would tell it.
    return call->seen_changes == changes_ ? wait(call) : submit(call);
  }
  if (!answer(call, std::move(done.frame))) release(done.granted);
}

void Loop::on_awaited(Done done) {
  const CallPtr& call = done.call;
  if (call->answered) return;
  if (done.empty && !call->abandoned && call->until > Clock::now()) {
    return;  // it is among awaits_
  }
  answer(call, std::move(done.frame));
}

void Loop::spread(const News& news) {
  if (!news.available.empty()) {
    ++changes_;
    wake(takes_.call_for(news.available));
  }
  if (news.maybe_available) {
    ++changes_;
    wake(takes_.call_first());
  }
  for (const JobId id : news.ended) {
    AwaitAsk::Answer ended;
    ended.value = {id};
    for (auto it = awaits_.find(value(id)); it != awaits_.end();
         it = awaits_.find(value(id))) {
      const CallPtr call = it->second;
      answer(call, encode(ended));  // takes it out
    }
  }
  if (news.maybe_ended) look_again();
  if (news.due < options_.poll) {
    next_sweep_ = std::min(next_sweep_, Clock::now() + std::max(news.due, Duration{0}));
  }
}

void Loop::wake(std::vector<CallPtr> calls) {
  for (const CallPtr& call : calls) submit(call);
}

void Loop::wait(const CallPtr& call) {
  (call->type == Type::kTake ? takes_ : receives_).park(call);
  timers_.emplace(call->until, call);
}

void Loop::await(const CallPtr& call) {
  for (const JobId id : std::get<AwaitAsk>(call->request).ids) {
    awaits_.emplace(value(id), call);
  }
  timers_.emplace(call->until, call);
}

void Loop::forget_await(const CallPtr& call) {
  for (const JobId id : std::get<AwaitAsk>(call->request).ids) {
    const auto [from, to] = awaits_.equal_range(value(id));
    const auto it =
        std::find_if(from, to, [&](const auto& entry) { return entry.second == call; });
    if (it != to) awaits_.erase(it);
  }
}

void Loop::answer_empty(const CallPtr& call) {
  switch (call->type) {
    case Type::kTake:
      answer(call, encode(Take::Answer{}));
      break;
    case Type::kAwait:
      answer(call, encode(AwaitAsk::Answer{}));
      break;
    case Type::kReceive: {
      const auto& m = std::get<ReceiveAsk>(call->request);
      ReceiveAsk::Answer none;
      none.value.backlog = tickets_->backlog({m.queues, m.kinds, m.max});
      answer(call, encode(none));
      break;
    }
    default:
      answer(call, error_of(Code::kUnavailable, "this worker has given the claim up"));
  }
}

// The end of a call, whatever it was. False: nobody hears of it.
bool Loop::answer(const CallPtr& call, std::string frame) {
  if (std::exchange(call->answered, true)) return false;
  if (call->waiting) (call->type == Type::kTake ? takes_ : receives_).remove(call);
  if (call->type == Type::kAwait) forget_await(call);
  if (call->type == Type::kTake || call->type == Type::kClaim) {
    const auto* take = std::get_if<Take>(&call->request);
    const auto it = claims_.find(
        take != nullptr ? take->worker : std::get<ClaimAsk>(call->request).worker);
    if (it != claims_.end() && std::erase(it->second, call) > 0 && it->second.empty()) {
      claims_.erase(it);
    }
  }
  const SessionPtr& session = call->session;
  if (!session) return false;
  if (waits(call->type)) {
    session->calls.erase(call->id);
  } else {
    --session->in_flight;
  }
  return !session->gone && send(session, call->id, std::move(frame));
}

// Jobs that were granted to somebody who will never know.
void Loop::release(std::span<const Lease> leases) {
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

void Loop::submit_own(Request request) {
  auto call = std::make_shared<Call>();
  call->type = std::visit([](const auto& m) { return m.kType; }, request);
  call->request = std::move(request);
  submit(call);
}

bool Loop::send(const SessionPtr& session, std::uint64_t id, std::string frame) {
  stamp(frame, id, 0);
  const std::size_t bytes = frame.size();
  try {
    const auto more = ::zmq::send_flags::sndmore | ::zmq::send_flags::dontwait;
    if (!router_.send(::zmq::buffer(session->route), more)) {
      ++counted_.dropped;
      return false;
    }
    router_.send(::zmq::buffer(frame), ::zmq::send_flags::dontwait);
  } catch (const ::zmq::error_t& e) {
    ++counted_.dropped;
    if (e.num() == EHOSTUNREACH) drop(session);
    return false;
  }
  ++session->sent;
  session->unread.push_back(bytes);
  session->unread_bytes += bytes;
  return true;
}

// Not an answer that is counted: whoever gets it begins again.
void Loop::refuse(const SessionPtr& session, std::uint64_t id, Code code,
                  std::string why) {
  ++counted_.refused;
  Refused refused;
  refused.error = {code, std::move(why), "zmq"};
  std::string frame = encode(refused);
  stamp(frame, id, 0);
  try {
    const auto more = ::zmq::send_flags::sndmore | ::zmq::send_flags::dontwait;
    if (router_.send(::zmq::buffer(session->route), more)) {
      router_.send(::zmq::buffer(frame), ::zmq::send_flags::dontwait);
    }
  } catch (const ::zmq::error_t&) {
    ++counted_.dropped;
  }
}

void Loop::on_malformed(const SessionPtr& session) {
  ++counted_.malformed;
  if (++session->malformed < kMalformedAllowed) return;
  session->malformed = 0;
  options_.log(LogLevel::kWarn,
               "broker: " + (session->name.empty() ? "a stranger" : session->name) +
                   " sends what is no message: not listened to for a minute");
  session->quarantined_until = Clock::now() + kQuarantine;
  session->silent_after = session->quarantined_until;
}

void Loop::drop(const SessionPtr& session) {
  if (std::exchange(session->gone, true)) return;
  sessions_.erase(session->route);
  if (const auto it = clients_.find(session->client);
      it != clients_.end() && it->second == session) {
    clients_.erase(it);
  }
  // What is with the store is released when it comes back.
  const auto calls = session->calls;
  for (const auto& [id, call] : calls) {
    if (call->waiting || call->type == Type::kAwait) answer_empty(call);
  }
}

void Loop::keep_time() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const CallPtr call = timers_.begin()->second.lock();
    timers_.erase(timers_.begin());
    if (call && !call->answered && (call->waiting || call->type == Type::kAwait)) {
      answer_empty(call);
    }
  }
  if (now >= next_cleaning_) {
    next_cleaning_ = now + kCleaning;
    std::vector<SessionPtr> silent;
    for (const auto& [route, session] : sessions_) {
      if (now >= session->silent_after) silent.push_back(session);
    }
    for (const SessionPtr& session : silent) drop(session);
  }
  if (store_ == nullptr) return;
  if (now >= next_look_) {
    next_look_ = now + options_.poll;
    ++changes_;
    wake(takes_.call_first());
    look_again();
  }
  if (options_.sweep && !sweeping_ && now >= next_sweep_) {
    sweeping_ = true;
    SweepAsk sweep;
    sweep.max = kSweepAtOnce;
    submit_own(sweep);
  }
}

// Which of the jobs that somebody waits for have ended without the broker's knowledge?
void Loop::look_again() {
  if (awaits_.empty()) return;
  AwaitAsk ask;
  for (auto it = awaits_.begin(); it != awaits_.end();
       it = awaits_.equal_range(it->first).second) {
    ask.ids.push_back(JobId{it->first});
  }
  submit_own(std::move(ask));
}

BrokerHealth Loop::health() const {
  BrokerHealth health = counted_;
  health.sessions = clients_.size();
  health.waiting = takes_.size() + receives_.size() + awaits_.size();
  health.in_flight = in_flight_;
  health.in_flight_bytes = in_flight_bytes_;
  return health;
}

void Loop::shut_down() {
  for (const auto& [route, session] : std::unordered_map(sessions_)) {
    const auto calls = session->calls;
    for (const auto& [id, call] : calls) {
      call->abandoned = true;
      if (call->waiting || call->type == Type::kAwait) answer_empty(call);
    }
  }
  carry_out();
  lanes_.reset();
  for (auto& item : inbox_.take()) {
    if (auto* done = std::get_if<Done>(&item)) on_done(std::move(*done));
  }
  router_.set(::zmq::sockopt::linger, 500);
  router_.close();
}

}  // namespace carrel::zmq
