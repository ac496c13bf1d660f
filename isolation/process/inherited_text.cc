#include "inherited_text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "os.h"

namespace carrel::process {

namespace {

using Range = InheritedText::Range;

// The kernel bounds how many mappings a process has (vm.max_map_count, 65,530).
constexpr std::size_t kMostParted = 64U << 20;

void advise(std::uintptr_t begin, std::uintptr_t end, int advice) {
  madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

std::uintptr_t page_size() {
  static const auto size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// Neighbours are one.
std::vector<Range> mappings_of_text() {
  std::vector<Range> text;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(
      std::fopen("/proc/self/maps", "re"), std::fclose);
  if (!maps) return text;
  std::unique_ptr<char, void (*)(void*)> line(nullptr, std::free);
  std::size_t size = 0;
  for (;;) {
    char* read = line.release();
    const bool more = getline(&read, &size, maps.get()) > 0;
    line.reset(read);
    if (!more) return text;
    Range next;
    char access[5];
    std::size_t offset = 0;
    unsigned long inode = 0;
    // At the beginning of a file stands what debuggers look for in a core.
    if (std::sscanf(read, "%" SCNxPTR "-%" SCNxPTR " %4s %zx %*s %lu", &next.begin,
                    &next.end, access, &offset, &inode) != 5 ||
        inode == 0 || offset == 0 || std::string_view(access) != "r-xp") {
      continue;
    }
    if (!text.empty() && text.back().end == next.begin) {
      text.back().end = next.end;
    } else {
      text.push_back(next);
    }
  }
}

// How many pages of it this process has touched, and how many of those are no longer the
// file's.
struct Use {
  std::size_t touched = 0;
  std::size_t own = 0;
};

// An entry for each page: Documentation/admin-guide/mm/pagemap.rst of Linux.
std::optional<Use> use_of(const Range& text, const UniqueFd& pagemap) {
  constexpr std::uint64_t kPresent = 1ULL << 63;
  constexpr std::uint64_t kOfFile = 1ULL << 61;
  std::vector<std::uint64_t> pages((text.end - text.begin) / page_size());
  const auto size = static_cast<ssize_t>(pages.size() * sizeof(std::uint64_t));
  const std::uintptr_t at = text.begin / page_size() * sizeof(std::uint64_t);
  if (pread(pagemap.get(), pages.data(), pages.size() * sizeof(std::uint64_t),
            static_cast<off_t>(at)) != size) {
    return std::nullopt;
  }
  Use use;
  for (const std::uint64_t page : pages) {
    if ((page & kPresent) == 0) continue;
    ++use.touched;
    if ((page & kOfFile) == 0) ++use.own;
  }
  return use;
}

UniqueFd open_pagemap() {
  return UniqueFd(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
}

// The kernel maps what surrounds a page that is touched, as far as the mapping goes.
// Neighbours that differ in whether a core has them are mappings of their own.
void part(const Range& text) {
  for (std::uintptr_t at = text.begin; at < text.end; at += 2 * page_size()) {
    advise(at, at + page_size(), MADV_DONTDUMP);
  }
}

}  // namespace

InheritedText::InheritedText() {
  const UniqueFd pagemap = open_pagemap();
  std::size_t size = 0;
  for (const Range& text : mappings_of_text()) {
    const auto use = use_of(text, pagemap);
    // What is its own would be forgotten, too, such as a debugger's breakpoints.
    if (!use || use->own > 0) continue;
    parted_.push_back(text);
    size += text.end - text.begin;
  }
  if (size > kMostParted) parted_.clear();
  for (const Range& text : parted_) {
    part(text);
    advise(text.begin, text.end, MADV_DONTNEED);
  }
}

bool InheritedText::bequeath(std::size_t most) {
  const UniqueFd pagemap = open_pagemap();
  // Writes past the protection of a page, as a debugger does: no mapping is writable and
  // executable meanwhile.
  const UniqueFd memory(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  std::vector<Range> used;
  std::size_t pages = 0;
  for (const Range& text : mappings_of_text()) {
    const auto use = use_of(text, pagemap);
    if (!use || use->touched == 0) continue;
    used.push_back(text);
    pages += use->touched;
  }
  // Alike again, neighbours are one mapping.
  for (const Range& text : parted_) advise(text.begin, text.end, MADV_DONTDUMP);
  if (!memory || pages > most / page_size()) return false;
  bool any = false;
  for (const Range& text : used) {
    char byte = 0;
    const auto at = static_cast<off_t>(text.begin);
    if (pread(memory.get(), &byte, 1, at) != 1 ||
        pwrite(memory.get(), &byte, 1, at) != 1) {
      continue;
    }
    any = true;
    // Else the core of a child has all of it, as what is its own.
    advise(text.begin, text.end, MADV_DONTDUMP);
  }
  return any;
}

}  // namespace carrel::process
