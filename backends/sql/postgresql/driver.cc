#include "postgresql/driver.h"

#include <soci/postgresql/soci-postgresql.h>

#include <string_view>

#include "migrate.h"
#include "postgresql/errors.h"
#include "postgresql/statements.h"

namespace carrel::sql::postgresql {
PostgresDriver::PostgresDriver(Settings settings)
    : settings_(std::move(settings)), dog_(settings_.call_timeout) {}

const server::Statements& PostgresDriver::statements() const noexcept {
  return kStatements;
}

std::unique_ptr<server::Session> PostgresDriver::connect() {
  auto session = connect_plainly();
  session->limit_waits(server::lock_wait(settings_.call_timeout),
                       server::idle_transaction(settings_.call_timeout));
  return session;
}

std::unique_ptr<PostgresSession> PostgresDriver::connect_plainly() {
  return std::make_unique<PostgresSession>(settings_.connect, settings_.prepare, dog_);
}

std::unique_ptr<PostgresSession> PostgresDriver::connect_to_listen() {
  return std::make_unique<PostgresSession>(settings_.listen, false, dog_);
}

server::Failure PostgresDriver::failure(server::Session* session) noexcept {
  const bool timed_out = session != nullptr && session->timed_out();
  const bool broken =
      session != nullptr && static_cast<PostgresSession*>(session)->is_broken();
  server::Failure failure;
  failure.error.origin = kOrigin;
  try {
    throw;
  } catch (const SchemaProblem& problem) {
    failure.error.code = problem.code;
    failure.error.message = settings_.place + ": " + problem.message;
    return failure;
  } catch (const soci::postgresql_soci_error& e) {
    const std::string state = e.sqlstate();
    // Where a server dies while a session is being made, there is none to ask.
    const bool hung_up = essence(e.get_error_message())
                             .starts_with("server closed the connection unexpectedly");
    failure.lost = broken || hung_up || ends_session(state);
    failure.conflict = state == "40001" || state == "40P01";
    const bool lock_held = state == "55P03";
    failure.held = lock_held || state == "57014";
    failure.error.code = failure.lost ? Code::kUnavailable : code_of(state);
    failure.error.message = settings_.place + ": ";
    failure.error.message +=
        lock_held ? server::kLockHeld : essence(e.get_error_message());
    if (state.find(' ') == std::string::npos) {
      failure.error.message += " (SQLSTATE " + state + ")";
    }
  } catch (const soci::soci_error& e) {
    // SOCI says so of a connection that it could not make, and of little else.
    failure = server::common_failure(settings_.place, kOrigin);
    if (session == nullptr || broken) {
      failure.lost = true;
      failure.error.code = Code::kUnavailable;
      failure.error.message = settings_.place + ": ";
      failure.error.message += essence(e.get_error_message());
    }
  } catch (...) {
    failure = server::common_failure(settings_.place, kOrigin);
    failure.lost = failure.lost || broken;
  }
  if (timed_out) {
    failure.error.code = Code::kUnavailable;
    failure.error.message =
        settings_.place + ": the server did not answer in time (call_timeout)";
  }
  return failure;
}

}  // namespace carrel::sql::postgresql
