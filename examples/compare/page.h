// A comparison as one self-contained HTML page.
#pragma once

#include <string>

#include "comparison.h"

namespace compare {

std::string page(const Comparison& comparison);

}  // namespace compare
