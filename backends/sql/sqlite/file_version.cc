#include "file_version.h"

#include <filesystem>
#include <optional>

#include "error.h"
#include "gate.h"
#include "schema_version.h"
#include "session.h"
#include "statement.h"

namespace carrel::sql::sqlite {

Result<int> version_of(const Settings& settings) {
  namespace fs = std::filesystem;
  std::error_code none;
  if (!fs::exists(settings.path, none)) return 0;  // SQLite would make it
  std::optional<Gate> gate;
  std::optional<GateHold> hold;
  // Also who only reads may recover the log of one that was killed.
  if (fs::exists(settings.gate(), none)) {
    auto opened = Gate::open(settings.gate());
    if (!opened) return tl::unexpected(std::move(opened.error()));
    gate.emplace(std::move(*opened));
    if (auto turn = gate->lock(settings.busy_timeout); !turn) {
      return tl::unexpected(std::move(turn.error()));
    }
    hold.emplace(*gate);
  }
  auto session = Session::open(settings, Session::Role::kReader);
  if (!session) return tl::unexpected(std::move(session.error()));
  try {
    int tables = 0;
    Statement((*session)->soci(),
              "SELECT count(*) FROM sqlite_master WHERE name = 'carrel_schema'",
              soci::into(tables))
        .run();
    return tables == 0 ? 0 : read_version((*session)->soci());
  } catch (...) {
    return tl::unexpected(current_error(settings.path));
  }
}

Result<void> may_use(const Settings& settings) {
  if (settings.migrate == Migrate::kOn) return {};
  const auto version = version_of(settings);
  if (!version) return tl::unexpected(version.error());
  try {
    needs_steps({*version, 0}, kSchemaVersion, settings.migrate);
  } catch (const SchemaProblem& problem) {
    return fail(problem.code, settings.path + ": " + problem.message, kOrigin);
  }
  return {};
}

}  // namespace carrel::sql::sqlite
