// The rules that the search runs: the real ones, or with one replaced by a mistake that
// other systems have made, to see that the search finds it.
#pragma once

#include <carrel/rules.h>

#include <string>
#include <vector>

namespace carrel::model {

struct RuleSet {
  decltype(&rules::claim) claim = rules::claim;
  decltype(&rules::beat) beat = rules::beat;
  decltype(&rules::release_unnamed) release_unnamed = rules::release_unnamed;
  decltype(&rules::finish) finish = rules::finish;
  decltype(&rules::cancel) cancel = rules::cancel;
  decltype(&rules::sweep) sweep = rules::sweep;
};

// A mistake, and the name of what it breaks (broken.h).
struct Mistake {
  std::string name;
  RuleSet rules;
  const char* breaks;
};
std::vector<Mistake> mistakes();

}  // namespace carrel::model
