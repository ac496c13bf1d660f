// One connection to a database server.
#pragma once

#include <carrel/types.h>
#include <soci/soci.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "server/watchdog.h"

namespace carrel::sql::server {

// Used by one thread at a time. Nothing of it may be touched, or destroyed, in the child
// of a fork: the connection is the parent's. Calls throw soci::soci_error.
//
// A session that has failed once is thrown away, and what was prepared on it: there is no
// reconnecting, so nothing of a transaction can be lost between its statements.
class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  soci::session& soci() { return session_; }
  // A host's, within its transaction.
  bool is_lent() const noexcept { return own_ == nullptr; }
  // Statements are prepared on the server, once a session; if not (a pooler may hand the
  // next transaction to another connection), every run carries its text.
  bool prepares() const noexcept { return prepares_; }

  // A statement outside of a transaction is one of its own, isolated as one that begin()
  // begins.
  bool commits_alone() const noexcept { return prepares_; }
  // Nothing has come from the server that nobody asked for, as its end does.
  bool is_quiet() const noexcept { return watched_ && watched_->is_quiet(); }

  // Begins a transaction, and says what time it is at the server.
  virtual Time begin() = 0;
  virtual void commit() = 0;
  virtual void rollback() = 0;
  // To the end of the transaction that is open, locks are waited for for a moment only.
  virtual void lose_patience() {}
  // False: so statements are to ask, where they wait (Statements::lock_runs_now).
  virtual bool is_patient() const noexcept { return true; }
  // Begins one that sees one snapshot and writes nothing.
  virtual void begin_reading() = 0;
  virtual Time now() = 0;

  // Hears of the rows of the n-th statement; a cell that is null is NULL. Borrowed.
  using EachRow = std::function<void(std::size_t n, std::span<const char* const> cells)>;
  // Runs statements without parameters (script.h) one after the other, and none after one
  // that fails: one round trip. Only where the dialect has such statements.
  virtual void run_together(const std::string& statements, const EachRow& each);

  // Of a statement that could not be prepared: what would be in the way of doing it
  // again.
  virtual void forget_text(soci::statement& /*statement*/) {}

  // Around every call that waits for the server.
  class Call {
   public:
    explicit Call(Session& session) noexcept : watched_(session.watched_.get()) {
      if (watched_ != nullptr) watched_->begin();
    }
    ~Call() {
      if (watched_ != nullptr) watched_->end();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Watchdog::Watched* watched_;
  };

  bool timed_out() const noexcept { return watched_ && watched_->bitten(); }
  // Nothing waits for the server any more, also not the end of this session.
  void cut() noexcept {
    if (watched_) watched_->cut();
  }

 protected:
  Session(std::unique_ptr<soci::session> session, bool prepares)
      : own_(std::move(session)), session_(*own_), prepares_(prepares) {}
  // One that a host has lent. Not watched, and nothing is prepared on it.
  explicit Session(soci::session& host) : session_(host), prepares_(false) {}
  // By the constructors of those that know the socket.
  void watch(Watchdog& dog, int socket) {
    watched_ = std::make_unique<Watchdog::Watched>(dog, socket);
  }

 private:
  const std::unique_ptr<soci::session> own_;
  soci::session& session_;
  const bool prepares_;
  std::unique_ptr<Watchdog::Watched> watched_;  // ends before the session closes
};

inline void Session::run_together(const std::string&, const EachRow&) {
  throw std::logic_error("this session sends one statement at a time");
}

}  // namespace carrel::sql::server
