#include "birthplace.h"

#include <sys/mman.h>

#include <new>

namespace carrel {
namespace {

using Mark = std::atomic<std::uint32_t>;

// The number of this process, on a page that a child of it finds wiped: 0, until it makes
// something itself. Null: there is no such page. Never given back.
Mark* mark() noexcept {
  static Mark* const made = []() noexcept -> Mark* {
    constexpr std::size_t kSize = sizeof(Mark);  // of a page
    void* const page =
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return nullptr;
    if (madvise(page, kSize, MADV_WIPEONFORK) != 0) return nullptr;
    return new (page) Mark(0);
  }();
  return made;
}

constinit Mark last{0};  // number that was given, also by parents

}  // namespace

void Birthplace::settle() noexcept {
  Mark* const here = mark();
  if (here == nullptr || number_.load() != 0) return;
  std::uint32_t none = 0;
  here->compare_exchange_strong(none, ++last);
  none = 0;
  number_.compare_exchange_strong(none, here->load());
}

bool Birthplace::here() const noexcept {
  const std::uint32_t number = number_.load();
  return number == 0 || number == mark()->load();
}

}  // namespace carrel
