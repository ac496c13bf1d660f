// What a store over a database server needs to know of the kind of server.
#pragma once

#include <carrel/store.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "server/session.h"
#include "server/statements.h"
#include "waiters.h"

namespace carrel::sql::server {

// Why a call of the database failed.
struct Failure {
  Error error;
  bool lost = false;      // the session is of no more use
  bool conflict = false;  // with another transaction: the same again may succeed
  // Another transaction holds what it needs, and does not end; or a statement took longer
  // than the server allows.
  bool held = false;
};

// What another transaction did meanwhile; the same again may succeed.
struct Conflict {};

// Who waits for a limit cannot be seen in this transaction, and would wait for ever.
struct UnseenWaiting {};

// No connection, and it is too early to try again.
struct Away {
  Error error;
};

// Hints to and from other processes that share the database: they may come late, doubled
// or not at all.
class News {
 public:
  virtual ~News() = default;
  // Jobs became available, or ended. Does not block; safe from any thread.
  virtual void tell(std::span<const Lane> lanes, bool ended) noexcept = 0;
  // Somebody waits in this process: from now on, listen.
  virtual void listen() noexcept = 0;
};

// Threads: safe, but for failure(), which is about a session of its caller's, and
// mend_plans(), one call at a time.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual const Statements& statements() const noexcept = 0;
  virtual const char* origin() const noexcept = 0;  // of errors: "postgresql"
  virtual std::uint64_t max_payload() const noexcept = 0;
  // Throws soci::soci_error.
  virtual std::unique_ptr<Session> connect() = 0;
  // Of the exception that is being handled; `session` may be null.
  virtual Failure failure(Session* session) noexcept = 0;
  // Has what the server's planner believes of the tables mended, where it would have
  // claims read what they do not take. Not within a transaction. Throws soci::soci_error.
  virtual void mend_plans(Session& session) { (void)session; }
};

// How long a store's transaction waits for one lock: far longer than a store holds any,
// and less than a call may take. Whoever holds it for longer is a host's transaction,
// whose end nobody knows; the connection is shared with others, who do not need that
// lock.
inline constexpr std::chrono::milliseconds kLockWait{2000};
// Where a call may take less than twice that, the lock gives up first: else the
// connection would be taken for a dead one.
constexpr std::chrono::milliseconds lock_wait(Duration call_timeout) {
  return std::min(
      kLockWait, std::chrono::duration_cast<std::chrono::milliseconds>(call_timeout / 2));
}
// How long a store's transaction may ask nothing before the server ends it: its process
// has stopped or its host has gone, and nobody else knows that it holds what others need.
// A statement that is on its way for long is nothing to PostgreSQL until it is there.
constexpr std::chrono::seconds idle_transaction(Duration call_timeout) {
  return std::max(std::chrono::seconds(5),
                  std::chrono::ceil<std::chrono::seconds>(call_timeout));
}
inline constexpr const char* kLockHeld =
    "another transaction holds what this needs, and does not end: ask again";

// What every driver says of exceptions that are not its database's.
Failure common_failure(const std::string& place, const char* origin) noexcept;

}  // namespace carrel::sql::server
