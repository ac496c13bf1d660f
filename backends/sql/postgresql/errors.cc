#include "postgresql/errors.h"

namespace carrel::sql::postgresql {

std::string_view essence(std::string_view message) {
  for (const std::string_view prefix :
       {"Cannot execute query.", "Cannot prepare statement.", "Fatal error.",
        "Connection failed.", "Cannot establish connection to the database.",
        "ERROR:", "FATAL:", "PANIC:"}) {
    if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
    while (!message.empty() && (message.front() == ' ' || message.front() == '\n')) {
      message.remove_prefix(1);
    }
  }
  return message.substr(0, message.find('\n'));
}

Code code_of(std::string_view state) {
  const std::string_view group = state.substr(0, 2);
  if (state == "42501") return Code::kUnsupported;  // to this user: it is about no row
  if (state == "XX001" || state == "XX002") return Code::kCorrupt;
  // Conflicts, resources, operators and the system: asking again may help.
  for (const std::string_view transient : {"08", "25", "40", "53", "55", "57", "58"}) {
    if (group == transient) return Code::kUnavailable;
  }
  if (group == "54") return Code::kTooLarge;
  if (group == "22") return Code::kInvalid;
  return Code::kInternal;
}

bool ends_session(std::string_view state) {
  for (const std::string_view s :
       {"57P01", "57P02", "57P03", "57P05", "25P03",
        "25006"}) {  // what only reads is not the server any more that we want
    if (state == s) return true;
  }
  return state.starts_with("08");
}

}  // namespace carrel::sql::postgresql
