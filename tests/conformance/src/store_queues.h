#pragma once

#include "store_case.h"

namespace carrel::conformance {

// Queues in order, bounds and limits of queues.
void add_queue_cases(StoreCases& cases);

}  // namespace carrel::conformance
