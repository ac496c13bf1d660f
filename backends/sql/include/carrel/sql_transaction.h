// Jobs in the host's own transactions: they are enqueued, and completed, together with
// the rows that the host writes, or not at all. Target carrel::sql_transaction.
//
//   soci::session db(soci::postgresql, "dbname=shop");
//   soci::transaction sale(db);
//   db << "INSERT INTO sales …";
//   auto job = carrel::sql::enqueue(engine, db, "send_invoice", {{"sale", 7}});
//   if (!job) return job.error();    // `sale` rolls back
//   sale.commit();
//   engine.publish(*job);            // workers hear at once instead of by polling
//
// The session is the host's, of SOCI's backend sqlite3, postgresql or mysql, and to the
// database of the engine's store. Its transaction is open: the database is asked, and
// kInvalid says that it is not. Nothing here begins or ends it; within it a savepoint
// (carrel_call, which the host leaves alone) is set and released, so that an error undoes
// what the call has written and the host may go on, but that some errors (a dead-lock, a
// connection that is gone) end a transaction at the server. After that, whoever's
// statement it was, kInvalid says so, and nothing is written until the host has begun
// again. A session with a failover callback is refused: it reconnects in the middle of a
// transaction, whose first half is gone then.
//
// SQLite: the store's tables live in the host's file, where the host writes without the
// gate by which stores take turns. What holds it back is SQLite's own locks: begin with
// BEGIN IMMEDIATE, set a busy time-out, use WAL mode, and be brief.
//
// Links no database: the clients' functions are found where the session has them.
// Threads: one session, one thread. Blocking: as the database does. Nothing throws.
#pragma once

#include <carrel/context.h>
#include <carrel/engine.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace soci {
class session;
}

namespace carrel::sql {

// Engine::enqueue within the open transaction of `session`. The engine ignites if it has
// not: with SQLite do so before the transaction begins, which keeps the engine from
// opening the file. The job is there once the host has committed; its id is taken
// already, but that SQLite gives the id of one that was rolled back to another. The last
// id by lastval() of PostgreSQL and last_insert_rowid() of SQLite is one of the store's
// afterwards: ask for the host's own before. kInvalid: also where the session is not one
// of the engine's store, or only reads. A request_id or unique key that another open
// transaction has just used waits for its end. kUnavailable: also where another holds the
// key of a limit or rate for longer than a second. What this transaction holds, that one
// may wait for: roll back, and try again.
//
// MariaDB: the session's character set is utf8mb4, its sql_select_limit the default, and
// sql_safe_updates off: kInvalid says what is not so, of complete(), too. With REPEATABLE
// READ, its default, what others have committed since the transaction first looked is
// seen all the same; but a job that holds the unique key that is asked for is locked
// until the commit, and what has a limit is counted by the claim. So are READ UNCOMMITTED
// and SERIALIZABLE dealt with. READ COMMITTED locks the least; SERIALIZABLE, under which
// each read locks, the most: while the enqueue of a unique job is open no worker can
// store an end, and while that of a rate is, jobs of other keys wait. Say which it is of
// the session: what SET TRANSACTION says of the next transaction alone the server does
// not tell, and where that is another, unique jobs may be made twice, and what waits for
// a limit may do so for ever.
//
// PostgreSQL: REPEATABLE READ and SERIALIZABLE see only their snapshot. kUnavailable:
// others have changed since what this needs; the host tries its whole transaction again,
// as after any other 40001. kUnsupported: it would replace a job with a limit. Such a
// transaction's new jobs with limits are counted by the claim.
[[nodiscard]] Result<Inserted> enqueue(Engine& engine, soci::session& session,
                                       std::string_view kind, const Json& args = {},
                                       const EnqueueOptions& options = {});
// Many: all of them, or none and the first error.
[[nodiscard]] Result<std::vector<Inserted>> enqueue(Engine& engine,
                                                    soci::session& session,
                                                    std::span<const Request> requests);

// Completes the job of a handler in a transaction of that handler's: what it writes and
// that the job is done commit together, so each takes effect once, whatever is killed
// when. Works in every isolation that runs handlers; a forked child opens a connection of
// its own (Engine::after_fork_child).
//
//   engine.handle("charge", [](carrel::Context& job) -> carrel::Result<carrel::Json> {
//     soci::transaction work(db());
//     db() << "UPDATE accounts …";
//     if (auto ok = carrel::sql::complete(job, db()); !ok) return …ok.error();
//     work.commit();
//     return carrel::Json();
//   });
//
// kStale: the lease is gone and the run is somebody else's; roll back. Call it last:
// until the commit it holds the job's row, whose lease nobody can renew meanwhile. Where
// it takes longer than a third of a lease, the run may be told to stop, in a child be
// killed; where longer than that, a rollback finds the job given to somebody else. Then
// return soon. Once committed, the job is completed with `result`, whatever the handler
// returns or throws; the engine counts it so, and its hooks see no result. If it was not
// committed, the attempt fails with what the handler returned, or for that reason. A job
// that was completed so is kept as [retention] says; where nothing else is heard of its
// worker, for ten minutes at least, if `max_rows` leaves it that long.
//
// kTooLarge: the result is longer than the kind's result_limit, or than the store takes;
// nothing was written, and a handler that answers with it discards the job, as one does
// that returns such a result.
//
// PostgreSQL, REPEATABLE READ and SERIALIZABLE: kUnavailable also where the lease was
// renewed since the transaction's snapshot; kUnsupported where the job has a limit.
[[nodiscard]] Result<void> complete(Context& job, soci::session& session,
                                    const Json& result = {});

// Enqueueing by another client than SOCI. The statements run in order, in one transaction
// of the host's; the last answers with one row, whose one column is the job's id. Where
// it answers with no row, another transaction has just used the same request_id: roll
// back, and run them again.
enum class Dialect : std::uint8_t { kSqlite, kPostgresql, kMariadb };
// Bound as what it is: a number as an integer of 64 bits, std::monostate as NULL, text as
// text: an empty one is not NULL, and in SQLite none is a blob, whose job nobody finds.
// Text is UTF-8, so PostgreSQL's client_encoding is UTF8; parameters need no types there.
using SqlValue = std::variant<std::monostate, std::int64_t, std::string>;
struct SqlStatement {
  std::string text;  // parameters are ?, in PostgreSQL $1, $2, …
  std::vector<SqlValue> parameters;
};
struct EnqueueStatements {
  std::vector<SqlStatement> statements;
  // Its id is the one that the last statement answers with; publish() it after the
  // commit. Absent: the job has a delay.
  std::optional<Ticket> ticket;
};
// kUnsupported: the job has what only the session's form knows (a limit). kTooLarge: its
// payload has more than 64 MB; for MariaDB 6.5 MB, as no claim could read it where the
// server's max_allowed_packet is what it came with. The server is not asked: where that
// was made less, the claim of a payload of about half of it fails, and names the job. The
// engine does not ignite; its store must have made its tables.
[[nodiscard]] Result<EnqueueStatements> enqueue_statements(
    const Engine& engine, Dialect dialect, std::string_view kind, const Json& args = {},
    const EnqueueOptions& options = {});

}  // namespace carrel::sql
