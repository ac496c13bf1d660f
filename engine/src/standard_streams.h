// For the first line of a main.
#pragma once

#include <fcntl.h>

#include <cerrno>

namespace carrel {

// Opens which of standard input, output and error the caller of this program left closed.
// Else the next file that is opened gets that number, and what is printed is written into
// it. Such an output takes nothing: who prints an answer hears that nobody got it.
inline void open_standard_streams() noexcept {
  constexpr struct {
    const char* path;
    int flags;
  } kStreams[] = {
      {"/dev/null", O_RDONLY}, {"/dev/full", O_WRONLY}, {"/dev/null", O_WRONLY}};
  for (int fd = 0; fd < 3; ++fd) {
    // The lowest number that is free is the one that open() takes.
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      (void)open(kStreams[fd].path, kStreams[fd].flags);
    }
  }
}

}  // namespace carrel
