// Does once, in the server, what it and its children will do for each job.
//
// What the dynamic linker binds and the allocator sets up on the first time, no child has
// to do again; and the program text that is used here is what children inherit
// (inherited_text.h).
#pragma once

namespace carrel::process {

// In a process that is about to be a Server, with its signals blocked as that needs them.
// Runs a job of its own here, and another in a child that it forks and waits for, for a
// second at the most. Leaves no descriptor behind; and where nothing can be had for it,
// it is not done.
void rehearse();

}  // namespace carrel::process
