#include "transaction/join.h"

namespace carrel::sql::transaction {

Result<std::unique_ptr<Joined>> join(soci::session& session, Backend backend,
                                     const Retention& retention) {
  if (auto ok = check_open(session, backend); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  try {
    if (backend == Backend::kSqlite) return join_sqlite(session, retention);
    return join_server(session, backend, retention);
  } catch (const std::exception& e) {
    return fail(Code::kInternal, e.what(), "transaction");
  }
}

}  // namespace carrel::sql::transaction
