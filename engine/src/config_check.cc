#include "config_check.h"

#include "wording.h"

namespace carrel {
namespace {

Result<void> check_kind(const Config& config, const std::string& table,
                        const KindConfig& kind, const Registry& registry) {
  const auto entry = registry.isolation(kind.isolation);
  if (!entry) {
    return fail(Code::kInvalid,
                config.where(table + ".isolation") + entry.error().message, "config");
  }
  if ((*entry)->runs_programs == !kind.command.empty()) return {};
  if (!kind.command.empty()) {
    return fail(Code::kInvalid,
                config.where(table + ".command") + "isolation " + quote(kind.isolation) +
                    " runs a handler, no program: leave the command out",
                "config");
  }
  if (table == "defaults") return {};  // each kind may give its own
  return fail(Code::kInvalid,
              config.where(table) + "isolation " + quote(kind.isolation) +
                  " runs programs and needs a command",
              "config");
}

}  // namespace

Result<void> check_against(const Config& config, const Registry& registry) {
  // First, so that what a kind inherits is named where it was said.
  if (auto ok = check_kind(config, "defaults", config.defaults, registry); !ok) return ok;
  for (const auto& [name, kind] : config.jobs) {
    if (auto ok = check_kind(config, "jobs." + name, kind, registry); !ok) return ok;
  }
  return {};
}

}  // namespace carrel
