// The same work as a program of its own, for isolation "exec": the arguments come as JSON
// on stdin, the result goes as JSON to stdout. It could be written in any language.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "hashing.h"

int main() {
  const std::string input(std::istreambuf_iterator<char>(std::cin), {});
  try {
    const auto job = nlohmann::json::parse(input).get<compare::HashJob>();
    std::cout << nlohmann::json(compare::hash_carelessly(job)) << '\n';
  } catch (const nlohmann::json::exception& e) {
    std::fprintf(stderr, "hash_words: the job's arguments: %s\n", e.what());
    return 1;
  }
  return std::cout.flush() ? 0 : 1;
}
