// A comparison as tables, the same for the terminal, Markdown and HTML.
#pragma once

#include <report/table.h>

#include "comparison.h"

namespace compare {

std::vector<report::Column> columns(const Comparison& comparison);
// The cells of one measured outcome, or its name and "failed".
report::Row row(const Outcome& outcome, bool rule_before = false);
// One section a pair of queue and store; a pair that the library refused as a whole has
// no rows but the reason.
report::Table full_table(const Comparison& comparison);
// Why all of this pair was refused; empty: it was not.
std::string refusal(const Comparison& comparison, const std::string& pair);

// The same for a README: one row a pair and isolation, the rates side by side.
report::Table short_table(const Comparison& comparison);
// The short table, and the full one folded away.
std::string markdown(const Comparison& comparison);

// What a reader should take home, in sentences that follow from the figures.
std::vector<std::string> findings(const Comparison& comparison);
// The facts of the machine on one line.
std::string machine_line(const report::Facts& facts);

}  // namespace compare
