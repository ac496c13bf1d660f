#include "mariadb/driver.h"

#include <mysqld_error.h>

#include "mariadb/errors.h"
#include "mariadb/packet.h"
#include "mariadb/statements.h"
#include "migrate.h"

namespace carrel::sql::mariadb {
MariadbDriver::MariadbDriver(Settings settings)
    : settings_(std::move(settings)), dog_(settings_.call_timeout) {}

const server::Statements& MariadbDriver::statements() const noexcept {
  return kStatements;
}

std::unique_ptr<MariadbSession> MariadbDriver::connect_plainly() {
  auto session = std::make_unique<MariadbSession>(
      settings_.connect, dog_, server::lock_wait(settings_.call_timeout),
      server::idle_transaction(settings_.call_timeout));
  learn_limits(*session);
  return session;
}

void MariadbDriver::learn_limits(MariadbSession& session) {
  const auto packet =
      std::stoull(session.execute("SELECT CAST(@@max_allowed_packet AS SIGNED)"));
  max_payload_ = longest_payload(packet);
}

server::Failure MariadbDriver::failure(server::Session* session) noexcept {
  const bool timed_out = session != nullptr && session->timed_out();
  server::Failure failure;
  try {
    throw;
  } catch (const SchemaProblem& problem) {
    failure.error = {problem.code, settings_.place + ": " + problem.message, kOrigin, 0,
                     Duration{0}};
    return failure;
  } catch (const soci::mysql_soci_error& e) {
    const auto code = static_cast<int>(e.err_num_);
    failure.lost = session == nullptr || timed_out || ends_session(code);
    failure.conflict = is_conflict(code);
    failure.held = code == ER_LOCK_WAIT_TIMEOUT || code == ER_STATEMENT_TIMEOUT;
    failure.error.origin = kOrigin;
    failure.error.native = code;
    failure.error.code = failure.lost ? Code::kUnavailable : code_of(code);
    failure.error.message = settings_.place + ": ";
    failure.error.message +=
        code == ER_LOCK_WAIT_TIMEOUT ? server::kLockHeld : essence(e.get_error_message());
  } catch (...) {
    failure = server::common_failure(settings_.place, kOrigin);
    failure.lost = failure.lost || timed_out;
  }
  if (timed_out) {
    failure.error.code = Code::kUnavailable;
    failure.error.message =
        settings_.place + ": the server did not answer in time (call_timeout)";
  }
  return failure;
}

}  // namespace carrel::sql::mariadb
