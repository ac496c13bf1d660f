#include "server/script.h"

#include <algorithm>
#include <stdexcept>

#include "server/json_rows.h"

namespace carrel::sql::server {
namespace {

bool is_in_name(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

template <class Value, class Write>
std::string separated(std::span<const Value> values, Write write) {
  std::string list;
  for (const Value& each : values) {
    if (!list.empty()) list += ',';
    list += write(each);
  }
  return list.empty() ? "NULL" : list;
}

}  // namespace

std::string literal(long long number) { return std::to_string(number); }

std::string literal(std::string_view bytes) { return "X'" + to_hex(bytes) + "'"; }

std::string literals(std::span<const std::string> strings) {
  return separated(strings, [](const std::string& each) { return literal(each); });
}

std::string literals(std::span<const JobId> ids) {
  return separated(ids, [](JobId id) { return std::to_string(value(id)); });
}

std::string with_values(std::string_view text, std::initializer_list<Parameter> values) {
  std::string filled;
  filled.reserve(text.size() * 2);
  while (!text.empty()) {
    const std::size_t at = std::min(text.find(':'), text.size());
    filled += text.substr(0, at);
    text.remove_prefix(at);
    if (text.empty()) break;
    text.remove_prefix(1);
    const auto end = std::find_if_not(text.begin(), text.end(), is_in_name);
    const auto name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(name.size());
    if (name.empty()) {
      filled += ':';
      continue;
    }
    const auto found =
        std::find_if(values.begin(), values.end(),
                     [&](const Parameter& each) { return each.name == name; });
    if (found == values.end()) throw std::logic_error("a parameter without a value");
    filled += found->value;
  }
  return filled;
}

}  // namespace carrel::sql::server
