#include "client.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>

#include "context.h"
#include "threads.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff = 200ms;
constexpr milliseconds kLastBackoff = 3s;
constexpr milliseconds kGreeting = 2'500ms;
constexpr milliseconds kBusyPause = 20ms;
// What an interrupted call may still wait for its answer: it may hold jobs.
constexpr milliseconds kLastWord = 1s;
constexpr int kMisses = 3;
// A client that only waits is heard of less often.
constexpr auto kIdle = 30s;
constexpr int kStretch = 5;
constexpr int kReceiveAtOnce = 256;

std::string random_name() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes.push_back(static_cast<char>(random()));
  return to_hex(bytes);
}

std::string who() {
  std::array<char, 65> host{};
  gethostname(host.data(), host.size() - 1);
  std::string name = program_invocation_short_name;
  name.resize(std::min<std::size_t>(name.size(), 40));
  return name + "@" + host.data() + ":" + std::to_string(getpid());
}

// Those that wait at the broker, or that must not wait for others.
bool outside_window(Type type) {
  return type == Type::kTake || type == Type::kAwait || type == Type::kReceive ||
         type == Type::kBeat;
}
bool waits_at_broker(Type type) {
  return type == Type::kTake || type == Type::kAwait || type == Type::kReceive;
}

tl::unexpected<Error> unavailable(std::string why) {
  return fail(Code::kUnavailable, std::move(why), "zmq");
}

}  // namespace

bool Interrupter::on() const noexcept {
  const std::lock_guard lock(mutex_);
  return on_;
}

Result<void> check_answer(const Result<std::string>& frame, Type expected,
                          std::string_view endpoint) {
  if (!frame) return tl::unexpected<Error>(frame.error());
  const auto head = head_of(*frame);
  if (head && head->type == expected) return {};
  Failed failed;
  if (head && head->type == Type::kError && decode(body_of(*frame), failed)) {
    return tl::unexpected<Error>(std::move(failed.error));
  }
  return fail(Code::kInternal, std::string(endpoint) + ": an answer to something else",
              "zmq");
}

Client::Client(Address address, LogFn log)
    : address_(std::move(address)),
      log_(std::move(log)),
      name_(random_name()),
      greet_by_(Clock::now() + address_.timeout) {}

Result<std::unique_ptr<Client>> Client::connect(Address address, LogFn log) {
  if (const auto ok = context(); !ok) return tl::unexpected<Error>(ok.error());
  std::unique_ptr<Client> client(new Client(std::move(address), std::move(log)));
  auto greeted = client->greeted_.get_future();
  client->thread_ = named_thread("carrel-zmq", [it = client.get()] { it->run(); });
  auto ok = greeted.get();
  if (!ok) return tl::unexpected<Error>(std::move(ok.error()));
  return client;
}

Client::~Client() {
  stopping_ = true;
  inbox_.push(Interrupted{0});
  if (thread_.joinable()) thread_.join();
}

std::uint64_t Client::send(std::string frame, Duration patience, Repeat repeat,
                           Then then) {
  Ask ask;
  ask.id = last_id_.fetch_add(1) + 1;
  ask.type = head_of(frame)->type;
  ask.frame = std::move(frame);
  // A year is for ever, and does not overflow.
  ask.deadline = Clock::now() +
                 std::clamp<Duration>(patience, Duration{0}, std::chrono::hours(8760));
  ask.repeat = repeat;
  ask.then = std::move(then);
  const std::uint64_t id = ask.id;
  inbox_.push(std::move(ask));
  return id;
}

Result<std::string> Client::wait_for(std::string frame, Duration patience, Repeat repeat,
                                     Interrupter* interrupter) {
  struct Slot {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<std::string>> result;
  } slot;
  const Then then = [&slot](Result<std::string> result) {
    // Within the lock: the slot goes as soon as its owner has seen the result.
    const std::lock_guard lock(slot.mutex);
    slot.result = std::move(result);
    slot.changed.notify_one();
  };
  std::uint64_t id = 0;
  if (interrupter == nullptr) {
    id = send(std::move(frame), patience, repeat, then);
  } else {
    const std::lock_guard lock(interrupter->mutex_);
    if (interrupter->on_) return fail(Code::kCancelled, "interrupted", "zmq");
    id = send(std::move(frame), patience, repeat, then);
    interrupter->calls_.insert(id);
  }
  {
    std::unique_lock lock(slot.mutex);
    slot.changed.wait(lock, [&] { return slot.result.has_value(); });
  }
  if (interrupter != nullptr) {
    const std::lock_guard lock(interrupter->mutex_);
    interrupter->calls_.erase(id);
  }
  return std::move(*slot.result);
}

void Client::interrupt(Interrupter& interrupter) noexcept {
  const std::lock_guard lock(interrupter.mutex_);
  interrupter.on_ = true;
  for (const std::uint64_t id : interrupter.calls_) inbox_.push(Interrupted{id});
}

void Client::run() {
  while (!stopping_) {
    try {
      keep_time();
      flush();
      poll();
      take_orders();
      hear_events();
      receive();
    } catch (const ::zmq::error_t& e) {
      lose(e.what());
    }
  }
  take_orders();
  if (phase_ == Phase::kUp) send_raw(encode(Bye{}), ++last_id_);
  link_.reset();
  while (!asks_.empty()) {
    finish(asks_.begin()->first, unavailable("the connection is being closed"));
  }
  if (!greeted_set_) greeted_.set_value(unavailable("the connection is being closed"));
}

void Client::poll() {
  std::array<zmq_pollitem_t, 3> items{};
  items[0] = {nullptr, inbox_.fd(), ZMQ_POLLIN, 0};
  int count = 1;
  if (link_) {
    items[1] = {link_->socket(), 0, ZMQ_POLLIN, 0};
    items[2] = {link_->monitor(), 0, ZMQ_POLLIN, 0};
    count = 3;
  }
  const auto left = std::chrono::ceil<milliseconds>(next_event() - Clock::now());
  zmq_poll(items.data(), count, std::clamp<long>(left.count(), 0, 60'000));
}

Client::Clock::time_point Client::next_event() const {
  Clock::time_point next = Clock::now() + 60s;
  if (phase_ != Phase::kUp) next = std::min(next, phase_ends_);
  if (!greeted_set_) next = std::min(next, greet_by_);
  if (phase_ == Phase::kUp) next = std::min(next, last_sent_ + address_.heartbeat);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  if (!again_.empty()) next = std::min(next, again_.begin()->first);
  return next;
}

void Client::take_orders() {
  for (Order& order : inbox_.take()) {
    if (auto* ask = std::get_if<Ask>(&order)) {
      accept(std::move(*ask));
    } else {
      interrupted(std::get<Interrupted>(order).id);
    }
  }
}

void Client::accept(Ask ask) {
  const std::uint64_t id = ask.id;
  if (refusal_) return ask.then(tl::unexpected<Error>(*refusal_));
  ask.timer = timers_.emplace(ask.deadline, id);
  (outside_window(ask.type) ? urgent_ : ordinary_).push_back(id);
  if (!waits_at_broker(ask.type)) last_busy_ = Clock::now();
  asks_.emplace(id, std::move(ask));
}

void Client::interrupted(std::uint64_t id) {
  const auto it = asks_.find(id);
  if (it == asks_.end()) return;
  Ask& ask = it->second;
  if (!ask.sent) return finish(id, fail(Code::kCancelled, "interrupted", "zmq"));
  if (std::exchange(ask.interrupted, true)) return;
  timers_.erase(ask.timer);
  ask.deadline = std::min(ask.deadline, Clock::now() + kLastWord);
  ask.timer = timers_.emplace(ask.deadline, id);
  Abandon abandon;
  abandon.request = id;
  send_raw(encode(abandon), ++last_id_);
}

bool Client::fits(const Ask& ask) const {
  return outside_window(ask.type) || in_window_ < welcome_.window;
}

// Beats and claims go first; the rest waits for room in the broker's window.
void Client::flush() {
  if (phase_ != Phase::kUp) return;
  while (!again_.empty() && again_.begin()->first <= Clock::now()) {
    const std::uint64_t id = again_.begin()->second;
    again_.erase(again_.begin());
    const auto it = asks_.find(id);
    if (it == asks_.end() || it->second.sent) continue;
    (outside_window(it->second.type) ? urgent_ : ordinary_).push_back(id);
  }
  for (auto* queue : {&urgent_, &ordinary_}) {
    while (!queue->empty()) {
      const auto it = asks_.find(queue->front());
      if (it != asks_.end() && !it->second.sent) {
        if (!fits(it->second) || !transmit(it->second)) break;
      }
      queue->pop_front();
    }
  }
}

bool Client::transmit(Ask& ask) {
  stamp(ask.frame, ask.id, received_);
  if (!link_->send(ask.frame)) return false;
  last_sent_ = Clock::now();
  ask.sent = true;
  if (!outside_window(ask.type)) ++in_window_;
  if (ask.repeat == Repeat::kNo) ask.frame = {};
  return true;
}

void Client::send_raw(std::string frame, std::uint64_t id) {
  if (!link_) return;
  stamp(frame, id, received_);
  if (link_->send(frame)) last_sent_ = Clock::now();
}

void Client::hear_events() {
  while (link_) {
    switch (link_->news()) {
      case Link::News::kNone:
        return;
      case Link::News::kKeyRefused:
        refusal_ = Error{Code::kInvalid,
                         address_.endpoint +
                             ": the broker refuses this client's key: it "
                             "is not among its keys",
                         "zmq"};
        return lose(refusal_->message, true);
      case Link::News::kHandshakeFailed:
        trouble_ =
            "the handshake failed: one of the two asks for CURVE and the other does "
            "not, or server_key is not the broker's";
        break;
      case Link::News::kLost:
        return lose(phase_ == Phase::kGreeting && !trouble_.empty()
                        ? trouble_
                        : "the connection was lost");
    }
  }
}

void Client::receive() {
  std::string frame;
  for (int i = 0; i < kReceiveAtOnce && link_ && link_->receive(frame); ++i) {
    on_frame(std::move(frame));
  }
}

void Client::on_frame(std::string frame) {
  last_heard_ = Clock::now();
  const auto head = head_of(frame);
  if (!head) return lose("what answers is no broker");
  if (head->type == Type::kRefused) return on_refused(body_of(frame));
  ++received_;
  if (head->type == answer_to(Type::kHello)) return on_welcome(body_of(frame));
  if (phase_ != Phase::kUp) return;
  if (head->type == Type::kBusy) {
    const auto it = asks_.find(head->id);
    if (it == asks_.end() || !it->second.sent) return;
    if (it->second.frame.empty()) {
      return finish(head->id, unavailable(address_.endpoint + ": the broker is busy"));
    }
    it->second.sent = false;
    if (!outside_window(it->second.type)) --in_window_;
    const auto pause = kBusyPause + milliseconds(random_() % kBusyPause.count());
    again_.emplace(Clock::now() + pause, head->id);
    return;
  }
  finish(head->id, std::move(frame));
}

void Client::on_welcome(std::string_view body) {
  Welcome welcome;
  if (phase_ != Phase::kGreeting) return;
  if (!decode(body, welcome)) return lose("a WELCOME that is none");
  phase_ = Phase::kUp;
  backoff_ = {};
  refusal_.reset();
  trouble_.clear();
  last_busy_ = Clock::now();
  if (!std::exchange(greeted_set_, true)) {
    welcome_ = std::move(welcome);
    greeted_.set_value({});
  } else {
    log_(LogLevel::kInfo, "connected again to " + address_.endpoint);
  }
}

void Client::on_refused(std::string_view body) {
  Refused refused;
  if (!decode(body, refused)) {
    refused.error = {Code::kInvalid, "it speaks another version of the protocol"};
  }
  const std::string why = address_.endpoint + ": " + refused.error.message;
  if (refused.error.code == Code::kUnavailable) return lose(why);
  refusal_ = Error{refused.error.code, why, "zmq"};
  lose(why, true);
}

void Client::keep_time() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    finish(timers_.begin()->second, unavailable(silence()));
  }
  if (!greeted_set_ && now >= greet_by_) {
    greeted_set_ = true;
    greeted_.set_value(unavailable(silence()));
  }
  if (phase_ == Phase::kDown && now >= phase_ends_) greet();
  if (phase_ == Phase::kGreeting && now >= phase_ends_) {
    lose(trouble_.empty() ? "no answer to HELLO" : trouble_);
  }
  if (phase_ != Phase::kUp) return;
  const bool idle = now - last_busy_ > kIdle;
  const Duration interval = address_.heartbeat * (idle ? kStretch : 1);
  if (now - last_heard_ > kMisses * interval + kGreeting) {
    return lose("it has been silent for too long");
  }
  if (now - last_sent_ < interval) return;
  Heartbeat beat;
  beat.next = interval;
  send_raw(encode(beat), ++last_id_);
}

void Client::greet() {
  auto link = Link::open(address_);
  if (!link) return lose(link.error().message);
  link_ = std::move(*link);
  received_ = 0;
  phase_ = Phase::kGreeting;
  phase_ends_ = Clock::now() + kGreeting;
  last_sent_ = last_heard_ = Clock::now();
  Hello hello;
  hello.client = name_;
  hello.name = who();
  hello.heartbeat = address_.heartbeat;
  hello.answer_limit = std::uint64_t{1} << 26;
  send_raw(encode(hello), ++last_id_);
}

// Throws the connection away; what may be asked again is asked over the next one.
void Client::lose(const std::string& why, bool by_refusal) {
  link_.reset();
  if (phase_ == Phase::kUp) log_(LogLevel::kWarn, address_.endpoint + ": " + why);
  phase_ = Phase::kDown;
  trouble_ = why;
  backoff_ = std::clamp<milliseconds>(backoff_ * 2, kFirstBackoff, kLastBackoff);
  const auto half = backoff_.count() / 2;
  phase_ends_ = Clock::now() + milliseconds(half + random_() % (half + 1));
  if (by_refusal && !std::exchange(greeted_set_, true)) {
    greeted_.set_value(tl::unexpected<Error>(*refusal_));
  }
  in_window_ = 0;
  std::vector<std::uint64_t> over;
  std::vector<std::uint64_t> again;
  for (auto& [id, ask] : asks_) {
    if (by_refusal || (ask.sent && (ask.frame.empty() || ask.interrupted))) {
      over.push_back(id);
    } else if (std::exchange(ask.sent, false)) {
      again.push_back(id);
    }
  }
  for (const std::uint64_t id : over) {
    finish(id, by_refusal ? tl::unexpected<Error>(*refusal_)
                          : unavailable(address_.endpoint + ": " + why +
                                        "; whether it was done is not known"));
  }
  std::sort(again.rbegin(), again.rend());
  for (const std::uint64_t id : again) {
    (outside_window(asks_.at(id).type) ? urgent_ : ordinary_).push_front(id);
  }
}

void Client::finish(std::uint64_t id, Result<std::string> result) {
  const auto it = asks_.find(id);
  if (it == asks_.end()) return;  // its deadline was before its answer
  Ask ask = std::move(it->second);
  asks_.erase(it);
  timers_.erase(ask.timer);
  if (ask.sent && !outside_window(ask.type) && in_window_ > 0) --in_window_;
  ask.then(std::move(result));
}

std::string Client::silence() const {
  std::string text = "no answer from the broker at " + address_.endpoint;
  if (phase_ != Phase::kUp && !trouble_.empty()) text += ": " + trouble_;
  return text;
}

}  // namespace carrel::zmq
