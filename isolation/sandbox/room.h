// The room: the process that makes the sandboxes of one profile and hands jobs to them.
//
// A child of the process server, one for each profile of an engine. It speaks with the
// host as the process server does (process/wire.h), on a channel of its own, and keeps
// some boxes ahead, so that a job finds its sandbox made. It ends with its channel.
#pragma once

#include <string_view>

#include "os.h"

namespace carrel::sandbox {

// Does not return. For a child of the process server, forked for nothing else: one
// thread, all signals blocked, leader of a session. `blueprint`: encoded. The first
// message on `channel` is a Greeting (greeting.h).
[[noreturn]] void keep_room(process::UniqueFd channel, std::string_view blueprint);

}  // namespace carrel::sandbox
