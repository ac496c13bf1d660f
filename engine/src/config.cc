#include <carrel/config.h>

#include "config_types.h"

namespace carrel {

Limits KindConfig::limits() const {
  return Limits{timeout, stop_grace, term_grace, drain_grace, result_limit};
}

const KindConfig& Config::kind(std::string_view name) const {
  if (jobs.empty()) return defaults;
  const auto it = jobs.find(std::string(name));
  return it == jobs.end() ? defaults : it->second;
}

std::optional<SandboxProfile> Config::sandbox(std::string_view name) const {
  if (const auto it = sandboxes.find(std::string(name)); it != sandboxes.end()) {
    return it->second;
  }
  for (const auto& [tier, of_tier] : config::kTiers) {
    if (of_tier != name) continue;
    SandboxProfile profile;
    profile.tier = tier;
    return profile;
  }
  return std::nullopt;
}

std::string Config::where(std::string_view key) const {
  std::string text;
  if (const auto it = places.find(std::string(key)); it != places.end()) {
    text = it->second + ": ";
  }
  return text.append(key).append(": ");
}

}  // namespace carrel
