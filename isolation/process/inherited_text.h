// Spares each forked child most of its first page faults.
#pragma once

namespace carrel::process {

// fork() copies the page-table entries of a mapping of a file only where something in it
// is this process's own (Linux, mm/memory.c, vma_needs_copy()): of program text it leaves
// them out, and each child is sent to the kernel anew for each piece of code that it
// runs, some two dozen times for a short job. This writes one byte of each mapping of
// text over itself: from then on children begin with what this process has used of it.
// Costs a page a mapping. Where the kernel does not let a process write so, nothing is
// gained.
//
// For a process with one thread. Does not throw.
void let_children_inherit_text() noexcept;

}  // namespace carrel::process
