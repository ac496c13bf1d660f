// A kind of job as a worker knows it: what it was configured as, and what it runs inside.
#pragma once

#include <carrel/config.h>
#include <carrel/isolation.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

struct Kind {
  KindSpec spec;
  RetryPolicy retry;
  std::string isolation_name;
  Isolation* isolation = nullptr;  // the table's; null in an engine that only produces
  IsolationTraits traits;
};

// Filled while the engine ignites, then only read. Addresses of kinds stay.
struct KindTable {
  std::map<std::string, Kind, std::less<>> kinds;
  std::map<std::string, std::unique_ptr<Isolation>> isolations;
  std::vector<std::string> names;  // of all kinds: what a worker demands

  const Kind* find(std::string_view name) const {
    const auto it = kinds.find(name);
    return it == kinds.end() ? nullptr : &it->second;
  }
  std::size_t stuck() const {
    std::size_t sum = 0;
    for (const auto& [name, isolation] : isolations) sum += isolation->stuck();
    return sum;
  }
  // The names of isolations that can begin no run just now.
  std::vector<std::string> exhausted() const {
    std::vector<std::string> of;
    for (const auto& [name, isolation] : isolations) {
      if (isolation->exhausted()) of.push_back(name);
    }
    return of;
  }
};

}  // namespace carrel
