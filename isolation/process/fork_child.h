// What a forked child does with its one job: runs the handler and writes frames.
#pragma once

#include <carrel/context.h>

#include <string_view>

namespace carrel::process {

// `body`: of the kFork request. `socket`: the job's, blocking, the only descriptor beside
// stdio. Ends the process.
[[noreturn]] void run_forked_job(const Handlers& handlers, std::string_view body,
                                 int socket) noexcept;

// Does the same once with a job of its own, in the server: what the dynamic linker binds
// and the allocator sets up on the first time, no child has to do again.
void rehearse();

}  // namespace carrel::process
