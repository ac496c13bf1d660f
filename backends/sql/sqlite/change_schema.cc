#include <algorithm>
#include <filesystem>
#include <optional>

#include "error.h"
#include "gate.h"
#include "schema.h"
#include "session.h"
#include "statement.h"
#include "store.h"

namespace carrel::sql::sqlite {
namespace {

namespace fs = std::filesystem;

// Reads only. 0: there are no tables.
Result<int> version_of(const Settings& settings) {
  std::optional<Gate> gate;
  std::optional<GateHold> hold;
  // Also who only reads may recover the log of one that was killed.
  if (std::error_code none; fs::exists(settings.gate(), none)) {
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

}  // namespace

Result<SchemaChange> change_schema(const Url& url, bool apply) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (auto ok = check_place(settings->path); !ok) return tl::unexpected(ok.error());
  SchemaChange change{0, kSchemaVersion, {}};
  if (std::error_code none; fs::exists(settings->path, none)) {
    const auto version = version_of(*settings);
    if (!version) return tl::unexpected(version.error());
    change.from = *version;
    change.to = std::max(change.from, change.to);  // a newer one that allows this
  }
  change.sql = steps_from(change.from);
  if (apply && change.from < change.to) {
    if (const auto store = open_store(url, {}); !store) {
      return tl::unexpected(store.error());
    }
  }
  return change;
}

}  // namespace carrel::sql::sqlite
