// A comparison on a terminal, group by group while it is measured.
#pragma once

#include <report/terminal.h>

#include <string>

#include "comparison.h"

namespace compare {

class Show {
 public:
  // Writes to stdout; a live terminal also shows what is being measured.
  explicit Show(report::Terminal terminal) : terminal_(terminal) {}

  void opening(const Comparison& comparison);
  void measuring(const std::string& what, std::size_t number, std::size_t of);
  // Prints what was measured since the last call, of one queue, store and concurrency.
  void group(const Comparison& comparison);
  void closing(const Comparison& comparison);

 private:
  void print(const std::string& text);

  report::Terminal terminal_;
  std::size_t printed_ = 0;  // outcomes
  std::string pair_;         // the title above the cursor
};

}  // namespace compare
