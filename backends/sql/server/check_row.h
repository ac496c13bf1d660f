// Whether a job can be stored in a database server: what check.h asks of every store, and
// that names and the keys of limits and rates are text.
#pragma once

#include <carrel/job.h>

#include <cstdint>
#include <string_view>

namespace carrel::sql::server {

Result<void> check_text(std::string_view what, std::string_view text,
                        std::string_view origin);
Result<void> check_row(const NewJob& job, std::uint64_t max_payload,
                       std::string_view origin);

}  // namespace carrel::sql::server
