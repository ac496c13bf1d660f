// A run of the comparison as a table, as sentences, and as a page.
#pragma once

#include <report/table.h>

#include <string>
#include <vector>

#include "results.h"

namespace convert_web {

std::vector<report::Column> columns();
report::Row row(const Trial& trial);
report::Table table(const Report& report);
// What a reader should take home, in sentences that follow from the figures.
std::vector<std::string> findings(const Report& report);
std::string page(const Report& report);

}  // namespace convert_web
