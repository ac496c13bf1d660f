// The keeper: a process that does nothing but keep a process server running.
//
// It forks the server and waits. If the server dies, it kills what the server leaves
// behind and forks another, which finds the requests for new channels that wait in the
// control socket: a server that was killed is back within a millisecond, also where the
// host has threads and could not fork one again. It ends with the host.
#pragma once

#include <carrel/process.h>

#include <string>
#include <vector>

#include "os.h"

namespace carrel::process {

// Where a keeper and its servers have their ends.
inline constexpr int kControl = 3;
inline constexpr int kHost = 4;

// Leaves stdio, and these two in their places, whatever their numbers were: a child's
// descriptors are then always above them. `flags`: O_CLOEXEC or none. Errno, or 0. May
// run in a process that shares its memory, but not its descriptors.
int take_places(int control, int host, int flags) noexcept;

// What a host is told where there is to be no keeper. Ends the process.
[[noreturn]] void refuse_to_keep(int control, std::string why);

// Becomes the keeper, in a process forked or executed for nothing else, with one thread.
// `control`: the server's end; `host`: a pidfd of the host. Everything else is closed but
// stdout and stderr; stdin becomes /dev/null. Each server runs `setup` first.
[[noreturn]] void keep(UniqueFd control, UniqueFd host, const ServerSetup& setup);

// What the first server says on the control socket when it is ready: one message.
inline constexpr std::size_t kMaxHello = 192 * 1024;
struct Hello {
  std::string error;  // empty: it runs
  std::vector<std::string> kinds;
};
std::string encode(const Hello& hello);
bool decode(std::string_view in, Hello& hello);

}  // namespace carrel::process
