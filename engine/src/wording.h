// How error messages name things, and what is read of texts.
#pragma once

#include <carrel/job.h>

#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace carrel {

// The candidate that is fewest edits (insert, delete, replace, swap two neighbours) away
// from `name`, ignoring case; none where even that is more than a third of the name's
// length. Of two that are as near, the first.
std::optional<std::string> nearest(std::string_view name,
                                   std::span<const std::string> candidates);

// `; did you mean "worker.lease"?`, or nothing where no candidate is near.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

// `"name"`
std::string quote(std::string_view name);

// Why that cannot be the name of a kind, a queue or a sandbox, as in "is empty"; nothing:
// it is 1 to 128 bytes of UTF-8 without control characters.
std::optional<std::string> why_no_name(std::string_view name);

// what(), also of an exception of the host's that answers with null.
std::string_view what_of(const std::exception& e) noexcept;

// A name that may be any bytes: on one line, readable and short.
std::string shortened(std::string_view name);

// `a, b, c`; `none` for an empty list.
std::string joined(std::span<const std::string> names);

// Of ASCII, whatever the locale.
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Why a discarded job was: what its last attempt said, or that it never began.
std::string why_discarded(const JobRecord& job);

}  // namespace carrel
