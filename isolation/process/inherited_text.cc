#include "inherited_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <memory>

#include "os.h"

namespace carrel::process {

void let_children_inherit_text() noexcept {
  // Writes past the protection of a page, as a debugger does: no mapping is writable and
  // executable meanwhile.
  const UniqueFd memory(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(
      std::fopen("/proc/self/maps", "re"), std::fclose);
  if (!memory || !maps) return;
  char* line = nullptr;
  std::size_t size = 0;
  while (getline(&line, &size, maps.get()) > 0) {
    std::uintptr_t begin = 0;
    unsigned long inode = 0;
    char access[5];
    if (std::sscanf(line, "%" SCNxPTR "-%*x %4s %*x %*s %lu", &begin, access, &inode) !=
            3 ||
        inode == 0 || access[1] != '-' || access[2] != 'x' || access[3] != 'p') {
      continue;
    }
    char byte = 0;
    const auto at = static_cast<off_t>(begin);
    if (pread(memory.get(), &byte, 1, at) != 1 || pwrite(memory.get(), &byte, 1, at) != 1)
      break;
  }
  std::free(line);
}

}  // namespace carrel::process
