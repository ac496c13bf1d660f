// A figure: one thing measured, beside its limit, measured in the same run.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace bench {

// A program and its arguments; it prints one number, alone, on its last line.
using Command = std::vector<std::string>;

enum class Better { kHigher, kLower };

struct Figure {
  std::string name;
  std::string unit;
  Command ours;
  Command limit;           // empty: `fixed_limit` stands for it
  double fixed_limit = 0;  // where the target is no ratio but an amount
  double target = 1;       // of ours / limit
  Better better = Better::kHigher;
  std::size_t pairs = 5;      // odd: ours, limit, ours, limit, …; the middle one counts
  std::size_t memory_mb = 0;  // must be free; else the figure is not taken
  std::string program = {};   // must be installed; else likewise
};

// Every figure. `bin` is the folder of the programs, `scratch` one on a real disk.
// `large`: stores that are to be full are filled whole, which takes minutes each.
std::vector<Figure> all_figures(const std::string& bin, const std::string& scratch,
                                bool large);

struct Measured {
  double value = 0;
  double limit = 0;
  double ratio = 0;
  bool pass = false;
};

// Runs the pairs. Nothing: a program failed; it said why on stderr. `verbose`: prints
// each pair there.
std::optional<Measured> measure(const Figure& figure, bool verbose);

}  // namespace bench
