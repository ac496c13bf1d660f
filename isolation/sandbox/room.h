// The room: the process that makes the sandboxes of one profile and hands jobs to them.
//
// A child of the process server, one for each profile of an engine. It speaks with the
// host as the process server does (process/wire.h), on a channel of its own, and keeps
// some boxes ahead, so that a job finds its sandbox made. It ends with its channel.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "blueprint.h"
#include "os.h"
#include "wire.h"

namespace carrel::sandbox {

// Does not return. For a child of the process server, forked for nothing else: one
// thread, all signals blocked, leader of a session. `blueprint`: encoded. The first
// message on `channel` is a Greeting, after a probe has run in a sandbox.
[[noreturn]] void keep_room(process::UniqueFd channel, std::string_view blueprint);

// What the room says first.
struct Greeting {
  process::Reply::Stage stage = process::Reply::Stage::kNone;  // kNone: it works
  int error = 0;
  std::string what;
  std::vector<std::string> enforced;  // "namespaces", "landlock 7", …
};
std::string encode(const Greeting& greeting);
std::optional<Greeting> decode_greeting(std::string_view in);

}  // namespace carrel::sandbox
