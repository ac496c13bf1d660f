// Statements that are sent together (Session::run_together): their text, with the
// parameters in it.
#pragma once

#include <carrel/types.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace carrel::sql::server {

// Values as SQL that means the same whatever the server's settings: numbers, and strings
// of bytes by their digits, X'6162'. Several are separated by commas; none is NULL.
std::string literal(long long number);
std::string literal(std::string_view bytes);
std::string literals(std::span<const std::string> strings);
std::string literals(std::span<const JobId> ids);

struct Parameter {
  std::string_view name;  // ":name" in the text
  std::string value;      // SQL
};

// `text`, with each of the parameters in its places. A ':' that no letter follows is left
// alone. Throws std::logic_error on a name that there is not.
std::string with_values(std::string_view text, std::initializer_list<Parameter> values);

}  // namespace carrel::sql::server
