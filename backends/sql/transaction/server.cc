#include <memory>
#include <utility>

#include "server/writer.h"
#include "transaction/server_host.h"
#include "transaction/within.h"

namespace carrel::sql::transaction {
namespace {

class LentSession final : public server::Session {
 public:
  LentSession(soci::session& host, const char* clock) : Session(host), clock_(clock) {}

  Time begin() override {
    soci() << "SAVEPOINT carrel_call";
    try {
      return now();
    } catch (...) {
      // As of tables that this session does not see: PostgreSQL would let the host do
      // nothing more than to roll back.
      try_rollback();
      throw;
    }
  }
  void commit() override { soci() << "RELEASE SAVEPOINT carrel_call"; }
  void rollback() override {
    soci() << "ROLLBACK TO SAVEPOINT carrel_call";
    soci() << "RELEASE SAVEPOINT carrel_call";
  }
  void begin_reading() override {}
  Time now() override {
    long long now = 0;
    soci() << clock_, soci::into(now);
    return Time(Duration(now));
  }

 private:
  void try_rollback() noexcept {
    try {
      rollback();
    } catch (...) {  // the first error says more
    }
  }

  const char* const clock_;
};

class LentDriver final : public server::Driver {
 public:
  LentDriver(soci::session& session, const Kind& kind) : session_(session), kind_(kind) {}

  const server::Statements& statements() const noexcept override {
    return kind_.statements;
  }
  const char* origin() const noexcept override { return kind_.origin; }
  std::uint64_t max_payload() const noexcept override { return kind_.max_payload; }
  std::unique_ptr<server::Session> connect() override {
    return std::make_unique<LentSession>(session_, kind_.clock);
  }
  server::Failure failure(server::Session*) noexcept override {
    return failure_of(session_, kind_.origin);
  }

 private:
  soci::session& session_;
  const Kind kind_;
};

// The host tells others, by Engine::publish.
class NoNews final : public server::News {
 public:
  void tell(std::span<const Lane>, bool) noexcept override {}
  void listen() noexcept override {}
};

class JoinedServer final : public JoinedBy<server::Writer> {
 public:
  JoinedServer(soci::session& session, const Kind& kind,
               std::unique_ptr<ErrorStates> states, const Retention& retention)
      : states_(std::move(states)),
        driver_(session, kind),
        waiters_([] {}),
        writer_(driver_, options(retention), waiters_, news_, limits_used_) {}

  std::uint64_t max_payload() const noexcept override { return driver_.max_payload(); }

 private:
  static BackendOptions options(const Retention& retention) {
    BackendOptions options;
    options.retention = retention;
    return options;
  }
  server::Writer& writer() override { return writer_; }

  const std::unique_ptr<ErrorStates> states_;  // of PostgreSQL
  LentDriver driver_;
  NoNews news_;
  Waiters waiters_;  // nobody does
  server::UsedLimits limits_used_;
  server::Writer writer_;
};

}  // namespace

Result<std::unique_ptr<Joined>> join_server(soci::session& session, Backend backend,
                                            const Retention& retention) {
  std::unique_ptr<ErrorStates> states;
  if (backend == Backend::kPostgresql) states = std::make_unique<ErrorStates>(session);
  try {
    const auto kind = kind_of(session, backend);
    if (!kind) return tl::unexpected(kind.error());
    return std::make_unique<JoinedServer>(session, *kind, std::move(states), retention);
  } catch (...) {
    return tl::unexpected(failure_of(session, kOrigin).error);
  }
}

}  // namespace carrel::sql::transaction
