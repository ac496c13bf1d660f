// What others see of a row, and what it keeps of what is reported of it.
#pragma once

#include <carrel/store.h>

#include <string>
#include <string_view>

#include "row.h"

namespace carrel::memory {

Ticket ticket_of(const Row& row);
void fill_claimed(Claimed& claimed, const Row& row);  // a fresh one
JobRecord record_of(const Row& row);

// The bounds on what a row keeps.
void append_log(std::string& log, std::string_view lines);  // the last 16 KiB
void append_attempt(Row& row, Attempt attempt, Time now);   // the last 100
Progress bounded(const Progress& progress);                 // message to 1 KiB

}  // namespace carrel::memory
