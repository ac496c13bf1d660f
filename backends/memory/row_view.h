// What others see of a row, and what it keeps of what is reported of it.
#pragma once

#include <carrel/store.h>

#include "row.h"

namespace carrel::memory {

Ticket ticket_of(const Row& row);
void fill_claimed(Claimed& claimed, const Row& row);  // a fresh one
JobRecord record_of(const Row& row);

// Within the bounds of carrel/kept.h.
void append_attempt(Row& row, Attempt attempt, Time now);
Progress bounded(const Progress& progress);

}  // namespace carrel::memory
