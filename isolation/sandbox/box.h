// A sandbox: one process that is ready for one program, starts it, and sees it to its
// end.
//
// It is the first process of its namespaces, so that nothing of the program outlives it;
// without namespaces it is the one to which orphans come. The program cannot touch it.
#pragma once

#include "blueprint.h"
#include "os.h"

namespace carrel::sandbox {

// What the room says to a box that runs a program, a byte each.
enum class Order : char {
  kTerminate = 't',     // SIGTERM to the program itself
  kTerminateAll = 'T',  // to all that it started too
  kKill = 'K',
};

// What a box says before its Reply: all is dead, and what is left to do is to remove the
// folder. One byte.
constexpr char kClearing = 'c';

// Does not return. In a process of its own: a child of the room, in new namespaces if the
// plan has them, one thread, all signals blocked.
//
// `socket`: SOCK_SEQPACKET. On it comes one request (RequestHead, body, descriptors),
// then orders; out goes one Reply, when the program has ended and all that it left is
// dead. A request without descriptors is a probe: no program, see self_check.h. The box
// ends when the socket does. `folder`: where the program's is to be, without namespaces;
// removed at the end, unless the box itself is killed.
[[noreturn]] void run_box(const Blueprint& blueprint, process::UniqueFd socket,
                          const std::string& folder);

// The body of a request: a SpawnJob as in wire.h, and what is to be in its folder.
std::string box_request(std::string_view spawn,
                        const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace carrel::sandbox
