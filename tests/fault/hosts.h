// Two hosts of a test's own: network namespaces, with one cable between them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "child.h"

namespace carrel::fault {

// Threads: one at a time. The hosts are gone with it, and so is whatever still runs
// there.
class Hosts {
 public:
  // nullptr: not allowed here, or not there; `missing` says what.
  static std::unique_ptr<Hosts> make(std::string& missing);

  // The command as it has to be started to run on host 0 or 1.
  std::vector<std::string> at(std::size_t host, std::vector<std::string> command) const;
  static std::string address(std::size_t host);  // IPv4

  // Pulls the cable out of a host, and puts it back: nothing passes, and nobody is told.
  void unplug(std::size_t host) const { cable(host, "down"); }
  void plug(std::size_t host) const { cable(host, "up"); }

 private:
  Hosts() = default;
  void cable(std::size_t host, const char* how) const;
  bool run(std::size_t host, std::vector<std::string> command) const;

  std::array<std::unique_ptr<Child>, 2> hosts_;  // processes that do nothing else
};

}  // namespace carrel::fault
