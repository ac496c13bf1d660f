#include <soci/mysql/soci-mysql.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "mariadb/errors.h"
#include "mariadb/statements.h"
#include "postgresql/errors.h"
#include "postgresql/statements.h"
#include "server/writer.h"
#include "transaction/client.h"
#include "transaction/within.h"

namespace carrel::sql::transaction {
namespace {

class LentSession final : public server::Session {
 public:
  LentSession(soci::session& host, const char* clock) : Session(host), clock_(clock) {}

  Time begin() override {
    soci() << "SAVEPOINT carrel";
    return now();
  }
  void commit() override { soci() << "RELEASE SAVEPOINT carrel"; }
  void rollback() override {
    soci() << "ROLLBACK TO SAVEPOINT carrel";
    soci() << "RELEASE SAVEPOINT carrel";
  }
  void begin_reading() override {}
  Time now() override {
    long long now = 0;
    soci() << clock_, soci::into(now);
    return Time(Duration(now));
  }

 private:
  const char* const clock_;
};

// Not carrel_clock, which is right in a session that has UTC.
constexpr const char* kMariadbClock =
    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

// What a kind of server has of its own.
struct Kind {
  const char* origin;
  const char* clock;
  const server::Statements& statements;
};

Result<const Kind*> kind_of(soci::session& session, Backend backend) {
  static const char* const kPostgresqlClock = "SELECT now_us FROM carrel_clock";
  static const Kind kPostgresql{"postgresql", kPostgresqlClock, postgresql::kStatements};
  static const Kind kPostgresqlSnapshot{"postgresql", kPostgresqlClock,
                                        postgresql::kSnapshotStatements};
  static const Kind kMariadb{"mariadb", kMariadbClock, mariadb::kStatements};
  static const Kind kMariadbSnapshot{"mariadb", kMariadbClock,
                                     mariadb::kSnapshotStatements};
  std::string level;
  if (backend == Backend::kPostgresql) {
    // Neither takes a snapshot.
    session << "SHOW transaction_isolation", soci::into(level);
    std::string encoding;
    session << "SHOW client_encoding", soci::into(encoding);
    if (encoding != "UTF8") {
      return fail(Code::kInvalid,
                  "the client_encoding of this session is " + encoding +
                      ", and names are UTF-8: SET client_encoding TO 'UTF8'",
                  kOrigin);
    }
    return level.starts_with("read ") ? &kPostgresql : &kPostgresqlSnapshot;
  }
  std::string client;
  std::string connection;
  session << "SELECT @@tx_isolation, @@character_set_client, @@character_set_connection",
      soci::into(level), soci::into(client), soci::into(connection);
  for (const std::string& set : {client, connection}) {
    if (set == "utf8mb4") continue;  // utf8 has no character of four bytes
    return fail(Code::kInvalid,
                "the character set of this session is " + set +
                    ", and names are UTF-8: SET NAMES utf8mb4, or connect with "
                    "charset=utf8mb4",
                kOrigin);
  }
  // Its default is REPEATABLE READ. What is counted is to be committed.
  const bool fresh = level == "READ-COMMITTED";
  return fresh ? &kMariadb : &kMariadbSnapshot;
}

class LentDriver final : public server::Driver {
 public:
  LentDriver(soci::session& session, const Kind& kind) : session_(session), kind_(kind) {}

  const server::Statements& statements() const noexcept override {
    return kind_.statements;
  }
  const char* origin() const noexcept override { return kind_.origin; }
  std::uint64_t max_payload() const noexcept override { return 64U << 20; }
  std::unique_ptr<server::Session> connect() override {
    return std::make_unique<LentSession>(session_, kind_.clock);
  }
  // Never lost: the connection is the host's, and there is no other.
  server::Failure failure(server::Session*) noexcept override {
    const std::string place = "the host's session";
    server::Failure failure;
    failure.error.origin = kind_.origin;
    failure.error.message = place + ": ";
    try {
      throw;
    } catch (const soci::mysql_soci_error& e) {
      const auto code = static_cast<int>(e.err_num_);
      failure.error.native = code;
      failure.error.code =
          mariadb::ends_session(code) ? Code::kUnavailable : mariadb::code_of(code);
      failure.error.message += mariadb::essence(e.get_error_message());
    } catch (const soci::soci_error& e) {
      const std::string said(postgresql::essence(e.get_error_message()));
      const std::string_view state = state_in(said);
      failure.error.code =
          state.empty() ? code_of(e.get_error_category()) : postgresql::code_of(state);
      failure.error.message += said;
      if (state == kChangedSince) {
        failure.error.message +=
            ": this transaction's snapshot is too old, roll back, and try it again";
      }
    } catch (...) {
      failure = server::common_failure(place, kind_.origin);
    }
    return failure;
  }

 private:
  static constexpr std::string_view kChangedSince = "40001";

  // The SQLSTATE that a message begins with, thanks to ErrorStates.
  static std::string_view state_in(std::string_view message) {
    constexpr std::size_t kState = 5;
    return message.find(": ") == kState ? message.substr(0, kState) : std::string_view();
  }
  static Code code_of(soci::soci_error::error_category category) {
    switch (category) {
      case soci::soci_error::connection_error:
      case soci::soci_error::unknown_transaction_state:
      case soci::soci_error::system_error:
        return Code::kUnavailable;
      case soci::soci_error::no_privilege:
        return Code::kUnsupported;
      default:
        return Code::kInternal;
    }
  }

  soci::session& session_;
  const Kind& kind_;
};

// The host tells others, by Engine::publish.
class NoNews final : public server::News {
 public:
  void tell(std::span<const Lane>, bool) noexcept override {}
  void listen() noexcept override {}
};

class JoinedServer final : public JoinedBy<server::Writer> {
 public:
  JoinedServer(soci::session& session, Backend backend, const Kind& kind,
               const Retention& retention)
      : driver_(session, kind),
        waiters_([] {}),
        writer_(driver_, options(retention), waiters_, news_, limits_used_) {
    if (backend == Backend::kPostgresql) states_.emplace(session);
  }

 private:
  static BackendOptions options(const Retention& retention) {
    BackendOptions options;
    options.retention = retention;
    return options;
  }
  server::Writer& writer() override { return writer_; }

  std::optional<ErrorStates> states_;
  LentDriver driver_;
  NoNews news_;
  Waiters waiters_;  // nobody does
  server::UsedLimits limits_used_;
  server::Writer writer_;
};

}  // namespace

Result<std::unique_ptr<Joined>> join_server(soci::session& session, Backend backend,
                                            const Retention& retention) {
  const auto kind = kind_of(session, backend);
  if (!kind) return tl::unexpected(kind.error());
  return std::make_unique<JoinedServer>(session, backend, **kind, retention);
}

}  // namespace carrel::sql::transaction
