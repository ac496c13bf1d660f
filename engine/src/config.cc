#include <carrel/config.h>

namespace carrel {

Limits KindConfig::limits() const {
  return Limits{timeout, stop_grace, term_grace, drain_grace, result_limit};
}

const KindConfig& Config::kind(std::string_view name) const {
  const auto it = jobs.find(std::string(name));
  return it == jobs.end() ? defaults : it->second;
}

std::string Config::where(std::string_view key) const {
  std::string text;
  if (const auto it = places.find(std::string(key)); it != places.end()) {
    text = it->second + ": ";
  }
  return text.append(key).append(": ");
}

}  // namespace carrel
