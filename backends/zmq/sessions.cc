#include "sessions.h"

#include <algorithm>

#include "context.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

constexpr int kReceiveAtOnce = 256;
constexpr unsigned kMalformedAllowed = 10;
constexpr auto kQuarantine = 60s;
constexpr auto kStranger = 10s;       // from the connection to HELLO
constexpr auto kPeerComplaints = 1s;  // no more often
constexpr int kMisses = 3;
constexpr auto kGrace = 3s;
constexpr const char* kKeyIsGone = "this key is no longer among the broker's keys";
constexpr const char* kRoleIsLess = "the role of this key is another now";
constexpr std::size_t kLeastAnswer = std::size_t{1} << 16;
// Short answers that one client has not read, when it is over its bytes of them: fewer
// than kSendHwm of the socket.
constexpr std::size_t kMostUnread = 4'096;

// A log's line is one line, whatever a client says that it is called.
std::string in_a_line(std::string name) {
  const auto odd = [](unsigned char c) { return c < ' ' || c > '~'; };
  std::replace_if(name.begin(), name.end(), odd, '?');
  return name;
}

}  // namespace

Sessions::Sessions(const BrokerOptions& options, ::zmq::socket_t router,
                   std::shared_ptr<const Keys> keys, Welcome welcome,
                   BrokerHealth& counted, Read read, Gone gone)
    : options_(options),
      router_(std::move(router)),
      keys_(std::move(keys)),
      welcome_(std::move(welcome)),
      counted_(counted),
      read_(std::move(read)),
      gone_(std::move(gone)) {}

SessionPtr Sessions::session_of(const std::string& route, const std::string& user) {
  if (const auto it = sessions_.find(route); it != sessions_.end()) {
    const SessionPtr session = it->second;
    if (session->user == user) return session;
    drop(session);  // of another client, which had named its connection so and is gone
  }
  if (sessions_.size() >= options_.max_sessions) return nullptr;
  auto session = std::make_shared<Session>();
  session->route = route;
  session->user = user;
  session->interval = kStranger;
  session->silent_after = Clock::now() + kStranger;
  sessions_.emplace(route, session);
  return session;
}

void Sessions::receive(const Request& request) {
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
    hear(route.to_string(), user, one_part ? frame.to_string_view() : std::string_view(),
         request);
  }
}

void Sessions::hear(const std::string& route, const std::string& user,
                    std::string_view frame, const Request& request) {
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
    default:
      break;
  }
  // Who has much to read asks again when he has read it.
  if (session->unread_bytes > options_.max_unread && head->type != Type::kAbandon) {
    ++counted_.busy;
    send(session, head->id, encode(Busy{}));
    return;
  }
  request(session, *head, frame);
}

bool Sessions::may_speak(const SessionPtr& session, const Head& head) {
  if (keys_) {
    const auto entry = keys_->find(session->user);
    if (!entry) {
      refuse(session, head.id, Code::kInvalid, kKeyIsGone);
      drop(session);
      return false;
    }
    // As check_keys() will find, which comes a moment after the keys.
    if (!session->client.empty() && entry->role < session->role) {
      refuse(session, head.id, Code::kUnavailable, kRoleIsLess);
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
    const auto [id, bytes] = session->unread.front();
    session->unread.pop_front();
    session->unread_bytes -= bytes;
    read_(session, id);
  }
  // Who does not read his answers is answered no more.
  if (session->unread_bytes > options_.max_unread &&
      session->unread.size() >= kMostUnread) {
    ++counted_.dropped;
    return false;
  }
  return true;
}

void Sessions::on_hello(const SessionPtr& session, const Head& head,
                        std::string_view body) {
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
  session->name = in_a_line(hello.name);
  session->interval = hello.heartbeat;
  session->silent_after = Clock::now() + kMisses * session->interval + kGrace;
  session->answer_limit = std::max<std::uint64_t>(hello.answer_limit, kLeastAnswer);
  clients_[hello.client] = session;

  Welcome welcome = welcome_;
  welcome.role = session->role;
  send(session, head.id, encode(welcome));
}

void Sessions::on_heartbeat(const SessionPtr& session, const Head& head,
                            std::string_view body) {
  Heartbeat beat;
  if (!decode(body, beat) || beat.next < 100ms || beat.next > 60s) {
    return on_malformed(session);
  }
  session->interval = beat.next;
  session->silent_after = Clock::now() + kMisses * session->interval + kGrace;
  send(session, head.id, encode(HeartbeatAnswer{}));
}

bool Sessions::send(const SessionPtr& session, std::uint64_t id, std::string frame) {
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
  session->unread.push_back({id, bytes});
  session->unread_bytes += bytes;
  return true;
}

// Not an answer that is counted: whoever gets it begins again.
void Sessions::refuse(const SessionPtr& session, std::uint64_t id, Code code,
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

void Sessions::on_malformed(const SessionPtr& session) {
  ++counted_.malformed;
  if (++session->malformed < kMalformedAllowed) return;
  session->malformed = 0;
  const auto now = Clock::now();
  session->quarantined_until = now + kQuarantine;
  session->silent_after = session->quarantined_until;
  if (now < next_complaint_) return;
  next_complaint_ = now + kPeerComplaints;
  options_.log(LogLevel::kWarn,
               "broker: " + (session->name.empty() ? "a stranger" : session->name) +
                   " sends what is no message: not listened to for a minute");
}

void Sessions::drop(const SessionPtr& session) {
  if (std::exchange(session->gone, true)) return;
  sessions_.erase(session->route);
  if (const auto it = clients_.find(session->client);
      it != clients_.end() && it->second == session) {
    clients_.erase(it);
  }
  gone_(session);
}

void Sessions::drop_silent() {
  const auto now = Clock::now();
  std::vector<SessionPtr> silent;
  for (const auto& [route, session] : sessions_) {
    if (now >= session->silent_after) silent.push_back(session);
  }
  for (const SessionPtr& session : silent) drop(session);
}

void Sessions::check_keys() {
  if (!keys_) return;
  std::vector<std::pair<SessionPtr, bool>> over;
  for (const auto& [client, session] : clients_) {
    const auto entry = keys_->find(session->user);
    if (!entry || entry->role < session->role) over.emplace_back(session, !entry);
  }
  for (const auto& [session, removed] : over) {
    if (removed) {
      refuse(session, 0, Code::kInvalid, kKeyIsGone);
    } else {  // to begin again, as what it is now
      refuse(session, 0, Code::kUnavailable, kRoleIsLess);
    }
    drop(session);
  }
}

void Sessions::close(std::chrono::milliseconds linger) {
  router_.set(::zmq::sockopt::linger, static_cast<int>(linger.count()));
  unbind(router_, options_.listen);
  router_.close();
}

}  // namespace carrel::zmq
