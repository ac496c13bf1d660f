// Who speaks to the broker: its socket, and what is known of each connection.
#pragma once

#include <carrel/zmq.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <zmq.hpp>

#include "call.h"
#include "keys.h"

namespace carrel::zmq {

// Threads: the broker's loop. Nothing here blocks.
class Sessions {
 public:
  // A frame of a session that may ask; `frame` is good until the call returns.
  using Request =
      std::function<void(const SessionPtr& session, const Head&, std::string_view frame)>;
  using Read = std::function<void(const SessionPtr& session, std::uint64_t id)>;
  using Gone = std::function<void(const SessionPtr& session)>;

  // `keys`: nullptr where there is no CURVE. `welcome`: what HELLO is answered with, but
  // for the role. Counts what it drops and refuses in `counted`. `read` is called for
  // each answer that a client says it has read, `gone` once for each session that ends,
  // whatever ends it; what is sent to it from then on is dropped.
  Sessions(const BrokerOptions& options, ::zmq::socket_t router,
           std::shared_ptr<const Keys> keys, Welcome welcome, BrokerHealth& counted,
           Read read, Gone gone);

  void* socket() noexcept { return router_.handle(); }
  std::size_t size() const noexcept { return clients_.size(); }

  // Reads some of what has come. What a peer says of its session is dealt with here, and
  // so is what is no message; every other frame is handed on.
  void receive(const Request& request);
  // False: it did not go out.
  bool send(const SessionPtr& session, std::uint64_t id, std::string frame);
  // One request of it was no message.
  void on_malformed(const SessionPtr& session);
  // Forgets those of whom nothing was heard for too long.
  void drop_silent();
  // After the list of keys has changed: whoever has lost a key or a right is told so, and
  // ends, with all that waits for it.
  void check_keys();
  // Sends what is under way, for so long at most. The end of everything here.
  void close(std::chrono::milliseconds linger);

 private:
  SessionPtr session_of(const std::string& route, const std::string& user);
  void hear(const std::string& route, const std::string& user, std::string_view frame,
            const Request& request);
  bool may_speak(const SessionPtr& session, const Head& head);
  void on_hello(const SessionPtr& session, const Head& head, std::string_view body);
  void on_heartbeat(const SessionPtr& session, const Head& head, std::string_view body);
  void refuse(const SessionPtr& session, std::uint64_t id, Code code, std::string why);
  void drop(const SessionPtr& session);

  const BrokerOptions& options_;
  ::zmq::socket_t router_;
  const std::shared_ptr<const Keys> keys_;
  const Welcome welcome_;
  BrokerHealth& counted_;
  const Read read_;
  const Gone gone_;
  std::chrono::steady_clock::time_point next_complaint_{};  // by then at the earliest
  std::unordered_map<std::string, SessionPtr> sessions_;    // by route
  std::unordered_map<std::string, SessionPtr> clients_;     // by their own name
};

}  // namespace carrel::zmq
