// Memory for objects that come and go by the million: what a thread frees, it uses again.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace carrel {

// For std::allocate_shared. Any thread may free what another allocated; each keeps a
// bounded number of blocks of a type until it ends, and none after: what the destructors
// of its thread_locals free, or those of statics, goes back at once.
template <class T>
class RecyclingAllocator {
 public:
  using value_type = T;
  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>& /*other*/) noexcept {}

  T* allocate(std::size_t n) {
    Blocks* spare = blocks();
    if (n != 1 || spare == nullptr || spare->empty()) {
      return std::allocator<T>().allocate(n);
    }
    T* block = spare->back().release();
    spare->pop_back();
    return block;
  }
  void deallocate(T* block, std::size_t n) noexcept {
    Blocks* spare = blocks();
    if (n != 1 || spare == nullptr || spare->size() == kMost) {
      std::allocator<T>().deallocate(block, n);
    } else {
      spare->emplace_back(block);
    }
  }
  template <class U>
  bool operator==(const RecyclingAllocator<U>& /*other*/) const noexcept {
    return true;
  }

 private:
  static constexpr std::size_t kMost = 256;
  struct Free {
    void operator()(T* block) const noexcept { std::allocator<T>().deallocate(block, 1); }
  };
  using Blocks = std::vector<std::unique_ptr<T, Free>>;
  struct Cache {
    explicit Cache(bool& gone) : over(gone) { blocks.reserve(kMost); }
    ~Cache() { over = true; }
    Blocks blocks;
    bool& over;
  };
  // This thread's; null once it is ending.
  static Blocks* blocks() {
    thread_local bool over = false;  // without a destructor, and so there to the last
    if (over) return nullptr;
    thread_local Cache cache(over);
    return &cache.blocks;
  }
};

}  // namespace carrel
