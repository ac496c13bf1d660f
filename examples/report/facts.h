// What a figure depends on: the machine, its system, when.
#pragma once

#include <cstdint>
#include <string>

namespace report {

struct Facts {
  std::string date;       // local, ISO 8601, with its offset from UTC
  std::string processor;  // model name
  unsigned cores = 0;     // that this process may use
  std::uint64_t memory_bytes = 0;
  double load = 0;       // processes that wanted a processor, over the last minute
  std::string system;    // "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;    // "Linux 6.1.0"
  std::string compiler;  // "GCC 12.2.0"
  std::string build;     // "optimised", "not optimised"
};

// Reads /proc and /etc/os-release; what is not there is empty.
Facts read_facts();

}  // namespace report
