// Whether a job can be stored at all, whatever the database: said before anything is
// written, so that one bad row fails alone.
#pragma once

#include <carrel/store.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::sql {

// kInvalid: names the field. kTooLarge: the payload has more than `max_payload` bytes.
Result<void> check(const NewJob& job, std::uint64_t max_payload, std::string_view origin);
Result<void> check_queue(std::string_view name, std::string_view origin);
// Of a payload or result.
Result<void> check_size(std::string_view what, std::size_t bytes,
                        std::uint64_t max_payload, std::string_view origin);

// `checkpoint`, or none where it has more than `max_payload` bytes, which the log says of
// `job`: the end of a run, or its lease, matters more.
const std::optional<std::string>& kept_checkpoint(
    JobId job, const std::optional<std::string>& checkpoint, std::uint64_t max_payload,
    const LogFn& log);

}  // namespace carrel::sql
