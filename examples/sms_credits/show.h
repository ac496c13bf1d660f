// A run of this example as a table, as sentences, and as a page.
#pragma once

#include <report/table.h>

#include <string>
#include <vector>

#include "results.h"

namespace sms {

std::vector<report::Column> columns();
report::Row row(const Group& group);
std::string page(const Report& report);

}  // namespace sms
