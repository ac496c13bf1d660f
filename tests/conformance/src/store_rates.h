// Rates by key. Apart from store_case.h, which every topic includes.
#pragma once

#include "store_case.h"

namespace carrel::conformance {

void add_rate_cases(StoreCases& cases);

}  // namespace carrel::conformance
