// Memory for objects that come and go by the million: what a thread frees, it uses again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace carrel {

// For std::allocate_shared. Any thread may free what another allocated; each keeps a
// bounded number of blocks of a type until it ends, and none after: what the destructors
// of its thread_locals free, or those of statics, goes back at once.
//
// Where one thread allocates what others free, blocks go back to it many at a time,
// through a bounded depot of the process: malloc takes a lock for each.
template <class T>
class RecyclingAllocator {
 public:
  using value_type = T;
  RecyclingAllocator() = default;
  template <class U>
  RecyclingAllocator(const RecyclingAllocator<U>& /*other*/) noexcept {}

  T* allocate(std::size_t n) {
    Blocks* spare = blocks();
    if (n != 1 || spare == nullptr || (spare->empty() && !depot().take(*spare))) {
      return std::allocator<T>().allocate(n);
    }
    T* block = spare->back().release();
    spare->pop_back();
    return block;
  }
  void deallocate(T* block, std::size_t n) noexcept {
    Blocks* spare = blocks();
    if (n != 1 || spare == nullptr) {
      std::allocator<T>().deallocate(block, n);
      return;
    }
    if (spare->size() == kMost) depot().give(*spare);
    spare->emplace_back(block);
  }
  template <class U>
  bool operator==(const RecyclingAllocator<U>& /*other*/) const noexcept {
    return true;
  }

 private:
  static constexpr std::size_t kMost = 256;  // of a thread
  static constexpr std::size_t kStack = kMost / 2;
  static constexpr std::size_t kMostSpare = 16 * kStack;  // of the depot
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
  class Depot {
   public:
    Depot() { spare_.reserve(kMostSpare); }
    void give(Blocks& blocks) noexcept {
      {
        const std::lock_guard lock(mutex_);
        if (spare_.size() < kMostSpare) return move(blocks, spare_);
      }
      blocks.resize(blocks.size() - kStack);
    }
    bool take(Blocks& blocks) noexcept {
      const std::lock_guard lock(mutex_);
      if (spare_.empty()) return false;
      move(spare_, blocks);
      return true;
    }

   private:
    static void move(Blocks& from, Blocks& to) noexcept {
      for (std::size_t n = std::min(kStack, from.size()); n > 0; --n) {
        to.push_back(std::move(from.back()));
        from.pop_back();
      }
    }
    std::mutex mutex_;
    Blocks spare_;
  };
  // There to the last, as threads may be.
  static Depot& depot() {
    static Depot* const there = new Depot;
    return *there;
  }
  // This thread's; null once it is ending.
  static Blocks* blocks() {
    thread_local bool over = false;  // without a destructor, and so there to the last
    if (over) return nullptr;
    thread_local Cache cache(over);
    return &cache.blocks;
  }
};

}  // namespace carrel
