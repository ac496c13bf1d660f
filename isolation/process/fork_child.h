// What a forked child does: waits for a job, runs its handler and writes frames.
#pragma once

#include <carrel/context.h>

namespace carrel::process {

// `socket`: blocking, the only descriptor beside stdio. Runs one job, or as many as come
// with JobHead::again. Ends the process; also when the host closes its end.
// Where no job is there yet, it makes itself ready for one meanwhile.
[[noreturn]] void run_forked_child(const Handlers& handlers, int socket) noexcept;

// Does the same once with a job of its own, in the server: what the dynamic linker binds
// and the allocator sets up on the first time, no child has to do again.
void rehearse();

}  // namespace carrel::process
