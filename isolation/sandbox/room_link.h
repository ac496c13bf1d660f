// The host's way to a room.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "blueprint.h"
#include "os.h"

namespace carrel::sandbox {

struct RoomLink {
  process::UniqueFd channel;
  std::vector<std::string> enforced;
};

// Has the process server make a room for an encoded blueprint, and waits until a probe
// has run in it: some milliseconds. kUnsupported: this machine cannot give what it asks
// for; see unavailable(). kInvalid: it is too long. kUnavailable: as connect(); also
// where `stop` was asked for.
Result<RoomLink> open_room(const std::string& blueprint, std::stop_token stop = {});

}  // namespace carrel::sandbox
