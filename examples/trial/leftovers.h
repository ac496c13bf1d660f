// What a process still holds: for a look before and after.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace trial {

struct Held {
  std::map<std::string, std::size_t>
      descriptors;  // "pipe", "socket", a path, …: how many
  std::map<std::string, std::size_t> processes;  // below this one: "name (zombie)"
};
Held held_now();

// What `now` has more than `before`, a sentence part each.
std::vector<std::string> more_than(const Held& before, const Held& now);

}  // namespace trial
