#include <filesystem>

#include "error.h"
#include "file_version.h"
#include "gate.h"
#include "session.h"
#include "store.h"

namespace carrel::sql::sqlite {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const char* const part : {"", "-wal"}) {
    std::error_code none;
    const auto size = fs::file_size(path + part, none);
    if (!none) bytes += size;
  }
  return bytes;
}

}  // namespace

Result<Reindexed> reindex(const Url& url) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (auto ok = check_place(settings->path); !ok) return tl::unexpected(ok.error());
  std::error_code ignored;
  if (!fs::exists(settings->path, ignored)) {
    return fail(Code::kNotFound, settings->path + ": there is no such file", kOrigin);
  }
  const auto version = version_of(*settings);
  if (!version) return tl::unexpected(version.error());
  if (*version == 0) {
    return fail(Code::kInvalid, settings->path + ": there are no tables of jobs in it",
                kOrigin);
  }
  auto gate = Gate::open(settings->gate());
  if (!gate) return tl::unexpected(std::move(gate.error()));
  if (auto turn = gate->lock(settings->busy_timeout); !turn) {
    return tl::unexpected(std::move(turn.error()));
  }
  const GateHold hold(*gate);
  Reindexed done;
  done.bytes_before = size_of(settings->path);
  auto session = Session::open(*settings, Session::Role::kWriter);
  if (!session) return tl::unexpected(std::move(session.error()));
  try {
    (*session)->execute("VACUUM");
    // The new file is in the log, as a whole.
    (*session)->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (...) {
    return tl::unexpected(current_error(settings->path));
  }
  session->reset();  // with the gate held
  done.bytes_after = size_of(settings->path);
  done.how =
      "VACUUM; who wrote or beat meanwhile has waited, or was told \"unavailable\"";
  return done;
}

}  // namespace carrel::sql::sqlite
