/* The limit of sqlite.cycle_batch100: the whole life of jobs on bare sqlite3, one
   connection, so many jobs a transaction: enqueue, claim, finish with its history. The
   pragmas, tables and statements have the shape of the SQLite store's. Prints jobs a
   second. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char kSchema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE job ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, queue TEXT NOT NULL,"
    "  kind TEXT NOT NULL, payload TEXT NOT NULL, priority INTEGER NOT NULL,"
    "  run_at INTEGER NOT NULL, wake_at INTEGER, expires_at INTEGER,"
    "  attempt INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL,"
    "  crashes INTEGER NOT NULL DEFAULT 0, fence INTEGER NOT NULL DEFAULT 0,"
    "  timeout INTEGER NOT NULL DEFAULT 0, worker TEXT, claim_number INTEGER,"
    "  result BLOB, checkpoint BLOB, log TEXT, enqueued INTEGER NOT NULL,"
    "  started INTEGER, ended INTEGER);"
    "CREATE INDEX job_available ON job (kind, queue, priority, run_at, id) WHERE state = "
    "2;"
    "CREATE INDEX job_wake ON job (wake_at) WHERE wake_at IS NOT NULL;"
    "CREATE TABLE attempt ("
    "  job INTEGER NOT NULL, fence INTEGER NOT NULL, what TEXT NOT NULL,"
    "  PRIMARY KEY (job, fence)) WITHOUT ROWID;";

static const char kInsert[] =
    "INSERT INTO job (state, queue, kind, payload, priority, run_at, max_attempts, "
    "enqueued)"
    " VALUES (2, ?1, ?2, ?3, ?4, ?5, 25, ?5)";
static const char kClaim[] =
    "UPDATE job SET state = 3, attempt = attempt + 1, fence = fence + 1, worker = ?1,"
    "  claim_number = ?2, started = ?3, wake_at = ?4"
    " WHERE id IN (SELECT id FROM job WHERE state = 2 AND kind = ?5"
    "              ORDER BY priority, run_at, id LIMIT ?6)"
    " RETURNING id, fence, attempt, max_attempts, queue, kind, payload, checkpoint,"
    "  priority, timeout, crashes";
static const char kFinish[] =
    "UPDATE job SET state = 5, result = ?3, ended = ?4, wake_at = ?5, worker = NULL"
    " WHERE id = ?1 AND fence = ?2 AND state = 3";
static const char kHistory[] =
    "INSERT INTO attempt (job, fence, what) VALUES (?1, ?2, ?3)";

static sqlite3* db;

static void check(int code, const char* what) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
  fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static sqlite3_stmt* prepare(const char* sql) {
  sqlite3_stmt* statement;
  check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
        sql);
  return statement;
}

static void step_once(sqlite3_stmt* statement) {
  check(sqlite3_step(statement), sqlite3_sql(statement));
  check(sqlite3_reset(statement), sqlite3_sql(statement));
}

static long long now_us(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void bind_text(sqlite3_stmt* statement, int at, const char* text) {
  sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: limit_sqlite FOLDER JOBS BATCH\n");
    return 2;
  }
  char path[4096];
  if (snprintf(path, sizeof path, "%s/limit.db", argv[1]) >= (int)sizeof path) return 2;
  const long jobs = atol(argv[2]);
  const int batch = atoi(argv[3]);
  long long* claimed = calloc((size_t)batch, 2 * sizeof *claimed);
  check(sqlite3_open(path, &db), path);
  check(sqlite3_exec(db, kSchema, NULL, NULL, NULL), "schema");
  sqlite3_stmt* begin = prepare("BEGIN IMMEDIATE");
  sqlite3_stmt* commit = prepare("COMMIT");
  sqlite3_stmt* insert = prepare(kInsert);
  sqlite3_stmt* claim = prepare(kClaim);
  sqlite3_stmt* finish = prepare(kFinish);
  sqlite3_stmt* history = prepare(kHistory);

  const long long started = now_us(CLOCK_MONOTONIC);
  for (long done = 0; done < jobs; done += batch) {
    step_once(begin);
    for (int i = 0; i < batch; ++i) {
      bind_text(insert, 1, "default");
      bind_text(insert, 2, "noop");
      bind_text(insert, 3, "null");
      sqlite3_bind_int(insert, 4, 0);
      sqlite3_bind_int64(insert, 5, now_us(CLOCK_REALTIME));
      step_once(insert);
    }
    step_once(commit);

    step_once(begin);
    const long long now = now_us(CLOCK_REALTIME);
    bind_text(claim, 1, "host:1234:1");
    sqlite3_bind_int64(claim, 2, done);
    sqlite3_bind_int64(claim, 3, now);
    sqlite3_bind_int64(claim, 4, now + 30000000);
    bind_text(claim, 5, "noop");
    sqlite3_bind_int(claim, 6, batch);
    int got = 0;
    int code;
    while ((code = sqlite3_step(claim)) == SQLITE_ROW && got < batch) {
      claimed[2 * got] = sqlite3_column_int64(claim, 0);
      claimed[2 * got + 1] = sqlite3_column_int64(claim, 1);
      ++got;
    }
    check(code, "claim");
    check(sqlite3_reset(claim), "claim");
    step_once(commit);
    if (got != batch) {
      fprintf(stderr, "claimed %d of %d\n", got, batch);
      return 1;
    }

    step_once(begin);
    for (int i = 0; i < batch; ++i) {
      const long long ended = now_us(CLOCK_REALTIME);
      sqlite3_bind_int64(finish, 1, claimed[2 * i]);
      sqlite3_bind_int64(finish, 2, claimed[2 * i + 1]);
      bind_text(finish, 3, "");
      sqlite3_bind_int64(finish, 4, ended);
      sqlite3_bind_int64(finish, 5, ended + 86400000000LL);
      step_once(finish);
      if (sqlite3_changes(db) != 1) return 1;
      sqlite3_bind_int64(history, 1, claimed[2 * i]);
      sqlite3_bind_int64(history, 2, claimed[2 * i + 1]);
      bind_text(
          history, 3,
          "{\"attempt\":1,\"class\":\"ok\",\"wall_us\":12,\"worker\":\"host:1234:1\"}");
      step_once(history);
    }
    step_once(commit);
  }
  const double took = (double)(now_us(CLOCK_MONOTONIC) - started) / 1e6;
  printf("%.6g\n", (double)jobs / took);

  for (sqlite3_stmt* s; (s = sqlite3_next_stmt(db, NULL)) != NULL;) sqlite3_finalize(s);
  sqlite3_close(db);
  free(claimed);
  return unlink(path);
}
