// The tables whose rows come and go with the work, so that much dies in them.
#pragma once

#include <array>
#include <chrono>

namespace carrel::sql::server {

inline constexpr std::array kHotTables = {
    "carrel_jobs",     "carrel_limits", "carrel_rates",
    "carrel_starts",   "carrel_unique", "carrel_rate_keys",
    "carrel_requests", "carrel_notes",  "carrel_tally"};

// For a call that takes as long as a table is large, where others are soon stuck.
inline constexpr auto kPatience = std::chrono::hours(24);

}  // namespace carrel::sql::server
