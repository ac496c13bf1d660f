#include "postgresql/driver.h"

#include <soci/postgresql/soci-postgresql.h>

#include <string_view>

#include "postgresql/statements.h"
#include "server/migrate.h"

namespace carrel::sql::postgresql {
namespace {

// "Cannot execute query. Fatal error. ERROR:  no such thing\nCONTEXT: …" → "no such
// thing". What follows the first line may quote parameters, payloads among them.
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
  if (state == "42501") return Code::kInvalid;
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

}  // namespace

PostgresDriver::PostgresDriver(Settings settings)
    : settings_(std::move(settings)), dog_(settings_.call_timeout) {}

const server::Statements& PostgresDriver::statements() const noexcept {
  return kStatements;
}

std::unique_ptr<server::Session> PostgresDriver::connect() { return connect_plainly(); }

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
  } catch (const server::SchemaProblem& problem) {
    failure.error.code = problem.code;
    failure.error.message = settings_.place + ": " + problem.message;
    return failure;
  } catch (const soci::postgresql_soci_error& e) {
    const std::string state = e.sqlstate();
    failure.lost = broken || ends_session(state);
    failure.conflict = state == "40001" || state == "40P01" || state == "55P03";
    failure.error.code = failure.lost ? Code::kUnavailable : code_of(state);
    failure.error.message = settings_.place + ": ";
    failure.error.message += essence(e.get_error_message());
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
