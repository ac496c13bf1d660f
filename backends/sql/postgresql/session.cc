#include "postgresql/session.h"

#include <soci/postgresql/soci-postgresql.h>

#include <string_view>

#include "postgresql/driver.h"

namespace carrel::sql::postgresql {
namespace {

// The isolation is said: a server may have another default, under which two claimers
// fail where they should pass each other by.
constexpr const char* kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;";
constexpr const char* kNotSupported = "0A000";
constexpr const char* kReadOnly = "25006";
constexpr const char* kClock = "SELECT now_us FROM carrel_clock";
// As begin() says it, for statements that are transactions by themselves.
constexpr const char* kIsolation =
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED,"
    " READ WRITE;";
// What is prepared is planned once, and not for every run: that took a quarter of a
// claim. Such a plan knows of no LIMIT how small it is. So it is held to the indexes,
// whose order the statements are written for; and what looks dear for that is not
// compiled.
constexpr const char* kPlanOnce =
    "SET plan_cache_mode = force_generic_plan;"
    "SET enable_seqscan = off; SET enable_sort = off; SET jit = off";

Time to_instant(const std::string& microseconds) {
  // It ended while this session was being made.
  if (microseconds.empty()) {
    throw server::Away{{Code::kUnavailable, "the server did not say its time", kOrigin}};
  }
  return Time(Duration(std::stoll(microseconds)));
}

}  // namespace

PostgresSession::PostgresSession(const std::string& connect, bool prepare,
                                 server::Watchdog& dog)
    : Session(std::make_unique<soci::session>(soci::postgresql, connect), prepare),
      begin_(std::string(kBegin) + kClock) {
  watch(dog, PQsocket(native()));
  // What a server has to say beside its answers would go to stderr.
  PQsetNoticeProcessor(
      native(), [](void*, const char*) {}, nullptr);
  if (prepare) execute((std::string(kIsolation) + kPlanOnce).c_str());
}

PGconn* PostgresSession::native() {
  return static_cast<soci::postgresql_session_backend*>(soci().get_backend())->conn_;
}

PostgresSession::PgResult PostgresSession::run(const char* sql) {
  const Call call(*this);
  PgResult result(PQexec(native(), sql), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return result;
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  const bool lost = PQstatus(native()) == CONNECTION_BAD;
  throw soci::postgresql_soci_error(PQerrorMessage(native()), state != nullptr ? state
                                                              : lost           ? "08006"
                                                                               : "XX000");
}

std::string PostgresSession::execute(const char* sql) {
  const PgResult result = run(sql);
  if (PQntuples(result.get()) == 0 || PQnfields(result.get()) == 0) return {};
  return PQgetvalue(result.get(), 0, 0);
}

Time PostgresSession::begin() {
  try {
    return to_instant(execute(begin_.c_str()));
  } catch (const soci::postgresql_soci_error& e) {
    if (e.sqlstate() != kNotSupported) throw;
    // A standby has no transactions that write, as if it knew none.
    throw soci::postgresql_soci_error(e.get_error_message(), kReadOnly);
  }
}

void PostgresSession::limit_waits(std::chrono::milliseconds lock,
                                  std::chrono::milliseconds idle) {
  const auto set = [&](const char* how) {
    return std::string(how) + " lock_timeout = " + std::to_string(lock.count()) + ";" +
           how +
           " idle_in_transaction_session_timeout = " + std::to_string(idle.count()) + ";";
  };
  if (prepares()) {
    execute(set("SET").c_str());
  } else {
    begin_ = kBegin + set("SET LOCAL") + kClock;
  }
}

void PostgresSession::begin_reading() {
  execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

// SOCI 4.0.3 would put the text behind what is there of it.
void PostgresSession::forget_text(soci::statement& statement) {
  auto* const backend =
      static_cast<soci::postgresql_statement_backend*>(statement.get_backend());
  backend->query_.clear();
  backend->names_.clear();
}

Time PostgresSession::now() { return to_instant(execute(kClock)); }

void PostgresSession::commit() {
  const PgResult result = run("COMMIT");
  // A transaction that has failed is rolled back by COMMIT, which is no error to it.
  if (std::string_view(PQcmdStatus(result.get())) != "COMMIT") {
    throw soci::postgresql_soci_error("the transaction was rolled back", "40000");
  }
}

// Long enough for those who hold one only in passing.
void PostgresSession::lose_patience() { execute("SET LOCAL lock_timeout = 20"); }

void PostgresSession::rollback() {
  if (PQtransactionStatus(native()) != PQTRANS_IDLE) run("ROLLBACK");
}

}  // namespace carrel::sql::postgresql
