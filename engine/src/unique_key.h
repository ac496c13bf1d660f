// From what a configuration says of unique jobs to the key that a store compares.
#pragma once

#include <carrel/config.h>

#include <span>
#include <string>
#include <string_view>

namespace carrel {

// kInvalid: names the one that is no field.
Result<void> check_unique_fields(std::span<const std::string> fields);

// `payload`: the arguments, as they are stored. The same whatever the order of their
// members. kInvalid: names the field that they lack, or why they have none.
Result<Unique> make_unique(const UniqueConfig& config, std::string_view kind,
                           std::string_view queue, const std::string& payload);

}  // namespace carrel
