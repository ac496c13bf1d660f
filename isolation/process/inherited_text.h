// Spares each forked child most of its first page faults.
#pragma once

#include <cstddef>

namespace carrel::process {

// More of it costs each fork and each exit more than the faults would.
inline constexpr std::size_t kMostInheritedText = 8U << 20;

// fork() copies the page-table entries of a mapping of a file only where something in it
// is, or was, this process's own (Linux, mm/memory.c, vma_needs_copy()): of program text
// it leaves them out, and each child is sent to the kernel anew for each piece of code
// that it runs, some two dozen times for a short job. This writes one byte of each
// mapping of text over itself: from then on children begin with what this process has
// used of it by then. Its size counts for how much memory they are said to have had.
//
// False: nothing is changed, be it that more than `most` bytes of text are used, or that
// the kernel does not let a process write so. Costs a page a mapping. For a process with
// one thread.
bool let_children_inherit_text(std::size_t most = kMostInheritedText);

}  // namespace carrel::process
