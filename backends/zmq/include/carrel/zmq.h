// The ZeroMQ backend: a broker that serves a Store and a Queue over the wire, and the
// Store and Queue that speak to it.
//
//   store = "zmq+tcp://queue.example:5555"    the store behind the broker, its own queue
//   queue = "zmq+ipc:///run/carrel.sock"      tickets only, beside a shared SQL store
//
// A program that does not link carrel::zmq gets it as a module, libcarrel_zmq.so, when it
// first asks for a URL of one of these schemes.
//
// backends/zmq/README.md says what is promised; PROTOCOL.md what goes over the wire.
#pragma once

#include <carrel/registry.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace carrel {

// Adds the schemes "zmq+tcp", "zmq+ipc" and "zmq+inproc" (tests: within one process), for
// a store and for a queue:
//
//   zmq+tcp://HOST:PORT[?timeout=8s&heartbeat=2s&server_key=HEX&secret_file=PATH]
//
// timeout    what a call may take beyond the time that it is told to wait
// heartbeat  the connection is given up after three of them without a word
// server_key, secret_file   CURVE: the broker's public key; the file of this client's key
//
// Opening one connects: kUnavailable after `timeout` where there is no broker, kInvalid
// where it refuses this client. A queue is opened all the same after a second, and is
// away until its broker is there (carrel/connected.h). Later calls outlive the broker:
// each ends by its deadline, and the connection comes back by itself. One thread a store
// or queue. Not for use in the child of a fork.
void register_zmq(Registry& registry);

namespace zmq {

struct BrokerOptions {
  // Where to listen: "tcp://127.0.0.1:5555", "ipc:///run/carrel.sock", "inproc://name";
  // port * is any that is free. What is at an ipc:// path and is no socket is kept. Off
  // loopback, `secret_file` and `keys_file` must be set.
  std::vector<std::string> listen;
  // This broker's own key, and who may speak to it: backends/zmq/README.md. Empty: no
  // CURVE, and whoever connects is an admin.
  std::filesystem::path secret_file;
  std::filesystem::path keys_file;

  // Sweep the hosted store by itself. Off: its clients do.
  bool sweep = true;
  // Look for what others did to the store.
  Duration poll = std::chrono::seconds(1);
  static constexpr Duration kShortestPoll = std::chrono::milliseconds(1);
  static constexpr Duration kLongestPoll = std::chrono::hours(24);

  // Bounds. What is past them is answered with BUSY, or dropped where nobody reads.
  std::size_t max_frame = std::size_t{1} << 20;  // bytes of one request
  // Bytes of requests, all clients; not less than max_frame. Likewise of those that wait.
  // Likewise of the answers that are kept for those who did not hear them, and ask again:
  // the oldest go first.
  std::size_t max_in_flight = std::size_t{64} << 20;
  // Bytes of the answers that one client has not read: past them it gets no others, but
  // BUSY, and in the end nothing. Likewise of its requests that wait.
  std::size_t max_unread = std::size_t{8} << 20;
  std::size_t max_sessions = 10'000;
  std::uint32_t window = 256;         // requests in flight, one client
  std::size_t max_tickets = 100'000;  // waiting in the queue of tickets
  LogFn log = [](LogLevel, std::string_view) {};
};

struct BrokerHealth {
  std::size_t sessions = 0;
  std::size_t waiting = 0;    // requests that wait for a job, a ticket or an end
  std::size_t in_flight = 0;  // requests that are with the store
  std::size_t in_flight_bytes = 0;
  std::uint64_t requests = 0;   // since the start
  std::uint64_t malformed = 0;  // frames that were none
  std::uint64_t busy = 0;       // answered with BUSY
  std::uint64_t refused = 0;
  std::uint64_t dropped =
      0;  // answers that nobody reads, requests of those in quarantine
  std::uint64_t released = 0;  // jobs given back because their worker was gone
};

// Each client takes a descriptor. Where the process has none left, libzmq 4.3 ends it if
// a broker in it listens on ipc://; the program carrel-broker does not leave it to that.
//
// Serves until it is destroyed. Threads: every call is safe beside every other. It keeps
// no truth of its own: after a restart on the same store everything goes on, and leases
// that were granted before hold until they end.
class Broker {
 public:
  // Binds and starts. `store` is hosted; nullptr: tickets only. kInvalid: an address, a
  // key, a bound, or an address off loopback without keys; kExists: the address is in
  // use. An ipc:// path is held by a lock on PATH.lock.
  static Result<std::unique_ptr<Broker>> start(BrokerOptions options,
                                               std::unique_ptr<Store> store);
  // Answers what is in flight, sends what waits away with nothing, and closes; blocks for
  // as long as the store does.
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // As bound: with the port that was chosen.
  const std::vector<std::string>& endpoints() const noexcept;
  BrokerHealth health() const;
  // Reads keys_file again. Clients whose key is gone, or may less than before, are cut
  // off when it returns, and whatever they wait for ends; others notice nothing. On an
  // error the keys stay as they are.
  Result<void> reload_keys();

 private:
  class Impl;
  explicit Broker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zmq
}  // namespace carrel
