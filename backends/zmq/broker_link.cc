#include "broker_link.h"

#include <atomic>
#include <cstring>

#include "context.h"

namespace carrel::zmq {
namespace {

constexpr int kWatched = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
// An answer is bounded by what this client asks for; this only stops what is no broker.
constexpr std::int64_t kLongestAnswer = std::int64_t{1} << 28;

void set_up(::zmq::socket_t& socket, const Address& address) {
  using namespace ::zmq;
  socket.set(sockopt::linger, 0);
  socket.set(sockopt::sndhwm, 0);  // the broker's window bounds it
  socket.set(sockopt::rcvhwm, 0);  // likewise
  socket.set(sockopt::maxmsgsize, kLongestAnswer);
  socket.set(sockopt::handshake_ivl, 2'000);
  socket.set(sockopt::reconnect_ivl, 100);
  socket.set(sockopt::reconnect_ivl_max, 1'000);
  socket.set(sockopt::connect_timeout, 2'000);
  if (address.keys) {
    socket.set(sockopt::curve_serverkey, from_hex(address.server_key));
    socket.set(sockopt::curve_publickey, from_hex(address.keys->public_key));
    socket.set(sockopt::curve_secretkey, from_hex(address.keys->secret_key));
  }
}

}  // namespace

Result<std::unique_ptr<Link>> Link::open(const Address& address) {
  const auto made = context();
  if (!made) return tl::unexpected<Error>(made.error());
  static std::atomic<std::uint64_t> number{0};
  try {
    ::zmq::socket_t socket(**made, ::zmq::socket_type::dealer);
    set_up(socket, address);
    const std::string events =
        "inproc://carrel-link-" + std::to_string(number.fetch_add(1));
    if (zmq_socket_monitor(socket.handle(), events.c_str(), kWatched) != 0) {
      throw ::zmq::error_t();
    }
    ::zmq::socket_t monitor(**made, ::zmq::socket_type::pair);
    monitor.set(::zmq::sockopt::linger, 0);
    monitor.connect(events);
    socket.connect(address.endpoint);
    return std::unique_ptr<Link>(new Link(std::move(socket), std::move(monitor)));
  } catch (const ::zmq::error_t& e) {
    return fail(Code::kUnavailable, address.endpoint + ": " + e.what(), "zmq", e.num());
  }
}

Link::~Link() {
  if (socket_) zmq_socket_monitor(socket_.handle(), nullptr, 0);
}

bool Link::send(const std::string& frame) {
  return socket_.send(::zmq::buffer(frame), ::zmq::send_flags::dontwait).has_value();
}

bool Link::receive(std::string& frame) {
  ::zmq::message_t part;
  if (!socket_.recv(part, ::zmq::recv_flags::dontwait)) return false;
  frame.assign(part.data<char>(), part.size());
  bool more = part.more();
  while (more) {  // no frame of this protocol has more parts: not understood as a whole
    frame.clear();
    static_cast<void>(socket_.recv(part, ::zmq::recv_flags::dontwait));
    more = part.more();
  }
  return true;
}

Link::News Link::news() {
  ::zmq::message_t event;
  if (!monitor_.recv(event, ::zmq::recv_flags::dontwait)) return News::kNone;
  ::zmq::message_t endpoint;
  static_cast<void>(monitor_.recv(endpoint, ::zmq::recv_flags::dontwait));
  std::uint16_t what = 0;
  std::memcpy(&what, event.data(), sizeof what);
  switch (what) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return News::kKeyRefused;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      return News::kHandshakeFailed;
    default:
      return News::kLost;
  }
}

}  // namespace carrel::zmq
