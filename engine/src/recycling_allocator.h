// Memory for objects that come and go by the million: what a thread frees, it uses again.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace carrel {

// For std::allocate_shared. Any thread may free what another allocated; each keeps a
// bounded number of blocks of a type, until it ends.
template <class T>
class RecyclingAllocator {
 public:
  using value_type = T;
  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>& /*other*/) noexcept {}

  T* allocate(std::size_t n) {
    auto& spare = blocks();
    if (n == 1 && !spare.empty()) {
      T* block = spare.back().release();
      spare.pop_back();
      return block;
    }
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* block, std::size_t n) noexcept {
    auto& spare = blocks();
    if (n == 1 && spare.size() < spare.capacity()) {
      spare.emplace_back(block);
    } else {
      std::allocator<T>().deallocate(block, n);
    }
  }
  template <class U>
  bool operator==(const RecyclingAllocator<U>& /*other*/) const noexcept {
    return true;
  }

 private:
  struct Free {
    void operator()(T* block) const noexcept { std::allocator<T>().deallocate(block, 1); }
  };
  using Blocks = std::vector<std::unique_ptr<T, Free>>;
  static Blocks& blocks() {
    constexpr std::size_t kMost = 256;
    thread_local Blocks spare = [] {
      Blocks empty;
      empty.reserve(kMost);
      return empty;
    }();
    return spare;
  }
};

}  // namespace carrel
