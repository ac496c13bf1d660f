// What a "zmq+…:" URL says.
#pragma once

#include <carrel/queue.h>
#include <carrel/registry.h>

#include <filesystem>
#include <optional>
#include <string>

#include "curve.h"

namespace carrel::zmq {

struct Address {
  std::string endpoint;  // as libzmq takes it: "tcp://host:port"
  Reach reach = Reach::kNetwork;
  Duration timeout = std::chrono::seconds(8);
  Duration heartbeat = std::chrono::seconds(2);
  std::string server_key;       // empty: no CURVE
  std::optional<KeyPair> keys;  // this client's
};

// kInvalid names what is wrong and what would be right.
Result<Address> address_of(const Url& url);

}  // namespace carrel::zmq
