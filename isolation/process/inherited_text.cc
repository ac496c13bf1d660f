#include "inherited_text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "os.h"

namespace carrel::process {
namespace {

struct Text {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// Those of program text; `used`: how many bytes of them this process has touched.
std::vector<Text> mappings_of_text(std::size_t& used) {
  std::vector<Text> text;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(
      std::fopen("/proc/self/smaps", "re"), std::fclose);
  if (!maps) return text;
  std::unique_ptr<char, void (*)(void*)> line(nullptr, std::free);
  std::size_t size = 0;
  bool counts = false;  // what follows is of a mapping of text
  for (;;) {
    char* read = line.release();
    const bool more = getline(&read, &size, maps.get()) > 0;
    line.reset(read);
    if (!more) return text;
    Text next;
    char access[5];
    std::size_t offset = 0;
    unsigned long inode = 0;
    if (std::sscanf(read, "%" SCNxPTR "-%" SCNxPTR " %4s %zx %*s %lu", &next.begin,
                    &next.end, access, &offset, &inode) == 5) {
      // At the beginning of a file stands what debuggers look for in a core.
      counts = inode != 0 && offset != 0 && access[1] == '-' && access[2] == 'x' &&
               access[3] == 'p';
      if (counts) text.push_back(next);
    } else if (std::size_t kib = 0; counts && std::sscanf(read, "Rss: %zu", &kib) == 1) {
      used += kib << 10;
    }
  }
}

}  // namespace

bool let_children_inherit_text(std::size_t most) {
  std::size_t used = 0;
  const std::vector<Text> text = mappings_of_text(used);
  // Writes past the protection of a page, as a debugger does: no mapping is writable and
  // executable meanwhile.
  const UniqueFd memory(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  if (!memory || used > most) return false;
  bool any = false;
  for (const auto& [begin, end] : text) {
    char byte = 0;
    const auto at = static_cast<off_t>(begin);
    if (pread(memory.get(), &byte, 1, at) != 1 ||
        pwrite(memory.get(), &byte, 1, at) != 1) {
      continue;
    }
    any = true;
    // Else the core of a child has all of it, as what is its own.
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTDUMP);
  }
  return any;
}

}  // namespace carrel::process
