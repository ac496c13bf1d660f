// A store that counts what is written to it, around any other. Its URL is that of the
// other one behind "counting:", as "counting:sqlite:jobs.db".
#pragma once

#include <carrel/registry.h>

#include <atomic>
#include <cstdint>
#include <memory>

namespace convert_web {

struct Writes {
  std::atomic<std::uint64_t> beats{0};     // calls: one transaction each, whatever runs
  std::atomic<std::uint64_t> progress{0};  // that carried progress
};

// Adds it to `registry`. `writes` is counted in.
void add_counting_store(carrel::Registry& registry, std::shared_ptr<Writes> writes);

}  // namespace convert_web
