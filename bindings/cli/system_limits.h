// Whether the system's limits bear the configured concurrency.
#pragma once

#include <carrel/config.h>

#include <map>
#include <string>
#include <vector>

namespace carrel::cli {

struct LimitCheck {
  std::string name;  // "descriptors", "processes"
  std::uint64_t limit = 0;
  std::uint64_t needed = 0;
  bool enough = true;
  std::string advice;  // where it is not
};

// `descriptors`: what one running job of each isolation costs, as measured.
std::vector<LimitCheck> check_limits(
    const Config& config, const std::map<std::string, std::size_t>& descriptors);

// Jobs at once: worker.concurrency, or one a processor.
std::size_t concurrency(const Config& config);

}  // namespace carrel::cli
