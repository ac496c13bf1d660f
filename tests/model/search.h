// The search: breadth first through every world that can be reached.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "rule_set.h"
#include "world.h"

namespace carrel::model {

struct Report {
  std::size_t states = 0;
  std::size_t steps = 0;
  // What was broken (broken.h), and one of the shortest ways to it.
  std::map<std::string, std::vector<std::string>> broken;

  std::string to_string() const;
};

// Looks at every world that can be reached from `first`, and then whether from each of
// them the job can still end by fair steps alone. `until`: stops when this was broken;
// null: looks at all.
Report search(const World& first, const RuleSet& rules, const char* until = nullptr);

}  // namespace carrel::model
