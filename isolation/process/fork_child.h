// What a forked child does: waits for a job, runs its handler and writes frames.
#pragma once

#include <carrel/context.h>

namespace carrel::process {

// `socket`: blocking, the only descriptor beside stdio. Runs one job, or as many as come
// with JobHead::again. Ends the process; also when the host closes its end.
// Where no job is there yet, it makes itself ready for one meanwhile.
[[noreturn]] void run_forked_child(const Handlers& handlers, int socket) noexcept;

// Does the same with the job that waits on `socket`, and returns: a rehearsal, in a
// process that is no child (rehearsal.h).
void run_here(const Handlers& handlers, int socket);

}  // namespace carrel::process
