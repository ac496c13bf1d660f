// The connection: how it is made, what comes in, and how it is given up.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "client.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kFirstBackoff = 200ms;
constexpr milliseconds kLastBackoff = 3s;
constexpr milliseconds kGreeting = 2'500ms;
constexpr milliseconds kBusyPause = 20ms;
constexpr int kReceiveAtOnce = 256;
// Heartbeats wait behind an answer: one of this length is through in their time at 2
// Mbit/s. A job or record that is longer comes alone.
constexpr std::uint64_t kAnswer = std::uint64_t{2} << 20;

// Why nobody can connect to an ipc:// path: libzmq tries again, and does not say.
std::string closed_socket(const std::string& endpoint) {
  constexpr std::string_view kIpc = "ipc://";
  if (!endpoint.starts_with(kIpc)) return {};
  const std::string path = endpoint.substr(kIpc.size());
  if (path.starts_with('@')) return {};  // on no file system
  if (faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0) return {};
  return std::strerror(errno);
}

std::string who() {
  std::array<char, 65> host{};
  gethostname(host.data(), host.size() - 1);
  std::string name = program_invocation_short_name;
  name.resize(std::min<std::size_t>(name.size(), 40));
  return name + "@" + host.data() + ":" + std::to_string(getpid());
}

}  // namespace

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
            "not, server_key is not the broker's, or it has no descriptor left";
        break;
      case Link::News::kLost:
        return lose(phase_ == Phase::kGreeting && !trouble_.empty() ? trouble_ : kGone);
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
  pace_.heard(Clock::now());
  const auto head = head_of(frame);
  if (!head) return lose("what answers is no broker");
  if (head->type == Type::kRefused) return on_refused(body_of(frame));
  ++received_;
  if (head->type == answer_to(Type::kHello)) return on_welcome(body_of(frame));
  if (phase_ != Phase::kUp) return;
  if (head->type == Type::kBusy) {
    const auto it = asks_.find(head->id);
    if (it == asks_.end() || !it->second.sent) return;
    if (it->second.interrupted) {
      return finish(head->id, fail(Code::kCancelled, "interrupted", "zmq"));
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
  pace_.busy(Clock::now());
  window_ = welcome.window;
  max_frame_ = welcome.max_frame;
  {
    const std::lock_guard lock(state_mutex_);
    welcome_ = std::move(welcome);
    away_.reset();
  }
  if (!std::exchange(greeted_set_, true)) {
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
  if (now > pace_.lost()) return lose("it has been silent for too long");
  if (now < pace_.due(now)) return;
  Heartbeat beat;
  beat.next = pace_.beat(now);
  send_raw(encode(beat), ++last_id_);
}

void Client::greet() {
  auto link = Link::open(address_);
  if (!link) return lose(link.error().message);
  link_ = std::move(*link);
  received_ = 0;
  phase_ = Phase::kGreeting;
  phase_ends_ = Clock::now() + kGreeting;
  pace_.begin(Clock::now());
  Hello hello;
  hello.client = name_;
  hello.name = who();
  hello.heartbeat = address_.heartbeat;
  hello.answer_limit = kAnswer;
  send_raw(encode(hello), ++last_id_);
}

// Throws the connection away; what may be asked again is asked over the next one, but for
// tickets: the store has the jobs, and soon they are old news.
void Client::lose(const std::string& why, bool by_refusal) {
  link_.reset();
  if (phase_ == Phase::kUp) log_(LogLevel::kWarn, address_.endpoint + ": " + why);
  phase_ = Phase::kDown;
  trouble_ = why;
  is_away(by_refusal ? *refusal_ : Error{Code::kUnavailable, silence(), "zmq"});
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
    const bool hint = ask.type == Type::kReceive || ask.type == Type::kPublish;
    const bool once = ask.repeat == Repeat::kNo || ask.interrupted;
    if (by_refusal || hint || (ask.sent && once)) {
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

std::string Client::silence() const {
  std::string text = "no answer from the broker at " + address_.endpoint;
  if (phase_ == Phase::kUp) return text;
  const std::string why = trouble_.empty() ? closed_socket(address_.endpoint) : trouble_;
  return why.empty() ? text : text + ": " + why;
}

Client::Clock::time_point Client::next_event() const {
  Clock::time_point next = std::min(closes_, Clock::now() + 60s);
  if (phase_ != Phase::kUp) next = std::min(next, phase_ends_);
  if (!greeted_set_) next = std::min(next, greet_by_);
  if (phase_ == Phase::kUp) {
    next = std::min({next, pace_.due(Clock::now()), pace_.lost()});
  }
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  if (!again_.empty()) next = std::min(next, again_.begin()->first);
  return next;
}

}  // namespace carrel::zmq
