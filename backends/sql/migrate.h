// How far a store may go to make its tables usable, and why it may not be enough.
#pragma once

#include <carrel/result.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace carrel::sql {

enum class Migrate : std::uint8_t {
  kNew,  // makes the tables where there are none
  kOn,   // and brings older ones forward
  kOff,
};
// "new", "on", "off"; kInvalid says so, for the option `migrate` of a URL.
Result<Migrate> parse_migrate(std::string_view text);

// Why the tables cannot be used.
struct SchemaProblem {
  Code code;
  std::string message;
};

// What a database's schema says of itself. 0: there are no tables.
struct SchemaVersion {
  int version = 0;
  int usable_from = 0;  // by libraries that know this version or a later one
};

// True: there are steps to take from `found` to `known`, and `migrate` allows them.
// Throws SchemaProblem where the tables cannot be used.
bool needs_steps(const SchemaVersion& found, int known, Migrate migrate);

}  // namespace carrel::sql
