// Spares each forked child most of its first page faults.
//
// fork() copies the page-table entries of a mapping of a file only where something in it
// is, or was, this process's own (Linux, mm/memory.c, vma_needs_copy()): of program text
// it leaves them out, and each child is sent to the kernel anew for each piece of code
// that it runs, some two dozen times for a short job. To copy them costs as well, for
// each page, at each fork and each exit: children are to have what they need, and no
// more.
//
// For a process with one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace carrel::process {

// More of it costs each fork and each exit more than the faults would.
inline constexpr std::size_t kMostInheritedText = 8U << 20;

class InheritedText {
 public:
  // Forgets which text this process has used, as in being started; what it uses from now
  // on is noted by the page, and not with its neighbourhood. Until bequeath() each page
  // of text is a mapping of its own. Where there is more than 64 MiB of text, all that
  // was used counts.
  InheritedText();

  // Children begin with what this process has used of its text by now. Writes one byte of
  // each mapping that is used over itself, which costs a page for each. Its size counts
  // for how much memory children are said to have had, and cores have none of it. Once.
  // False: nothing is inherited, be it that more than `most` bytes of text are used, or
  // that the kernel does not let a process write so.
  bool bequeath(std::size_t most = kMostInheritedText);

  struct Range {  // addresses, on pages' bounds
    std::uintptr_t begin;
    std::uintptr_t end;
  };

 private:
  std::vector<Range> parted_;
};

}  // namespace carrel::process
