// A run of this example as tables, as sentences, and as a page.
#pragma once

#include <report/table.h>

#include <string>
#include <vector>

#include "results.h"

namespace grader {

// Every way to run submissions.
std::vector<report::Column> columns();
report::Row row(const Trial& trial);
// Pulls among pushes.
std::vector<report::Column> order_columns();
report::Row order_row(const Trial& trial);
// What each hostile submission did, by way: only ways of the first store.
report::Table escapes(const Report& report);
// What a reader should take home, in sentences that follow from the figures.
std::vector<std::string> findings(const Report& report);
std::string page(const Report& report);

}  // namespace grader
