// Bytes as text: base64 (RFC 4648, section 4), and as JSON.
#pragma once

#include <carrel/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace carrel {

std::string to_base64(std::string_view bytes);
// With or without its padding; nothing: a character is no digit.
std::optional<std::string> from_base64(std::string_view text);

// The bytes as a string, or {"base64": …} where they are no UTF-8.
Json bytes_as_json(std::string bytes);

}  // namespace carrel
