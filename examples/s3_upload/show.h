// A run of this example as a table, as sentences, and as a page.
#pragma once

#include <report/table.h>

#include <string>
#include <vector>

#include "results.h"

namespace s3 {

std::vector<report::Column> columns();
report::Row row(const Report& report, const Trial& trial);
// One section without faults, one with.
report::Table table(const Report& report);
// What a reader should take home, in sentences that follow from the figures.
std::vector<std::string> findings(const Report& report);
std::string page(const Report& report);

}  // namespace s3
