// What the probes of fork and exec share: jobs of one size, and a host of any size.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "probe.h"

namespace bench {

inline constexpr std::size_t kArguments = 200;  // bytes, in and out, as the limits do
inline constexpr std::size_t kResult = 1024;

// So many MiB of this process, in memory until it ends. Small pages, as a heap has them.
class Resident {
 public:
  explicit Resident(std::size_t mb) : bytes_(mb << 20) {
    if (bytes_ == 0) return;
    memory_ =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("no memory to be large with");
    madvise(memory_, bytes_, MADV_NOHUGEPAGE);
    std::memset(memory_, 1, bytes_);
  }
  ~Resident() {
    if (bytes_ != 0) munmap(memory_, bytes_);
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

  volatile char* begin() const { return static_cast<volatile char*>(memory_); }
  std::size_t size() const { return bytes_; }

 private:
  std::size_t bytes_;
  void* memory_ = nullptr;
};

inline carrel::Json arguments() {
  const carrel::Json empty = {{"data", ""}};
  return {{"data", std::string(kArguments - empty.dump().size(), 'a')}};
}

inline carrel::Json result() { return std::string(kResult - 2, 'x'); }  // and two quotes

inline carrel::Config with_isolation(const std::string& isolation,
                                     const Options& options) {
  carrel::Config config;
  config.store = "memory:";
  config.worker.concurrency = options.concurrency;
  config.worker.warm = options.concurrency;
  config.jobs["job"].isolation = isolation;
  config.jobs["job"].recycle = static_cast<std::uint16_t>(options.recycle);
  return config;
}

}  // namespace bench
