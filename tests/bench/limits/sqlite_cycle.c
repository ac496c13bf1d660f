/* The limit of sqlite.cycle_batch100: the whole life of jobs on bare sqlite3, one
   connection, so many jobs a transaction: enqueue, claim, finish; ended jobs are kept.
   The pragmas, tables and statements have the shape of the SQLite store's. Prints jobs a
   second. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char kSchema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE job ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, state BIGINT NOT NULL, queue TEXT NOT NULL,"
    "  kind TEXT NOT NULL, priority BIGINT NOT NULL, attempt BIGINT NOT NULL DEFAULT 0,"
    "  max_attempts BIGINT NOT NULL, crashes BIGINT NOT NULL DEFAULT 0,"
    "  cancel_requested BIGINT NOT NULL DEFAULT 0, fence BIGINT NOT NULL DEFAULT 0,"
    "  finished_fence BIGINT NOT NULL DEFAULT 0, wake_at BIGINT, expires_at BIGINT,"
    "  enqueued_at BIGINT NOT NULL, run_at BIGINT NOT NULL, started_at BIGINT,"
    "  ended_at BIGINT, timeout_us BIGINT NOT NULL,"
    "  claim_number BIGINT NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '',"
    "  request_id TEXT, payload BLOB, result BLOB);"
    "CREATE INDEX job_available ON job (state, queue, kind, priority, run_at)"
    "  WHERE state = 2;"
    "CREATE INDEX job_wake ON job (state, wake_at) WHERE wake_at IS NOT NULL;"
    "CREATE UNIQUE INDEX job_request ON job (request_id) WHERE request_id IS NOT NULL;";

static const char kInsert[] =
    "INSERT INTO job (state, queue, kind, priority, max_attempts, enqueued_at, run_at,"
    "  timeout_us, payload) VALUES (2, 'default', ?1, 0, 25, ?2, ?2, 0, ?3)";
static const char kPick[] =
    "SELECT id, fence + 1, queue, kind, payload, timeout_us, priority, run_at,"
    "  attempt + 1, max_attempts, crashes"
    "  FROM job WHERE state = 2 AND queue = 'default' AND kind = ?1"
    " ORDER BY priority, run_at, id LIMIT ?2";
static const char kMark[] =
    "UPDATE job SET state = 3, fence = fence + 1, attempt = attempt + 1, wake_at = ?1,"
    "  claim_number = ?2, worker = ?3, started_at = ?4"
    " WHERE id IN (SELECT value FROM json_each(?5)) AND +state = 2";
static const char kFinish[] =
    "UPDATE job SET state = 5, finished_fence = ?2, wake_at = ?3, ended_at = ?4"
    " WHERE id = ?1 AND fence = ?2 AND state = 3";

static const char kKind[] = "noop";
static const char kWorker[] = "host:1234:1";

struct claimed {
  long long id, fence;
};

static sqlite3* db;
static sqlite3_stmt *begin, *commit, *insert, *pick, *mark, *finish;
static char* ids; /* of a batch, as JSON */

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
  check(sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC), "bind");
}

static void enqueue(int jobs) {
  step_once(begin);
  for (int i = 0; i < jobs; ++i) {
    bind_text(insert, 1, kKind);
    sqlite3_bind_int64(insert, 2, now_us(CLOCK_REALTIME));
    sqlite3_bind_blob(insert, 3, "null", 4, SQLITE_STATIC);
    step_once(insert);
  }
  step_once(commit);
}

static void take(struct claimed* jobs, int count, long long number) {
  const long long now = now_us(CLOCK_REALTIME);
  step_once(begin);
  bind_text(pick, 1, kKind);
  sqlite3_bind_int(pick, 2, count);
  int got = 0;
  int code;
  char* end = ids;
  while ((code = sqlite3_step(pick)) == SQLITE_ROW && got < count) {
    jobs[got].id = sqlite3_column_int64(pick, 0);
    end += sprintf(end, "%c%lld", got == 0 ? '[' : ',', jobs[got].id);
    jobs[got++].fence = sqlite3_column_int64(pick, 1);
  }
  check(code, "pick");
  check(sqlite3_reset(pick), "pick");
  sprintf(end, "]");
  sqlite3_bind_int64(mark, 1, now + 30000000);
  sqlite3_bind_int64(mark, 2, number);
  bind_text(mark, 3, kWorker);
  sqlite3_bind_int64(mark, 4, now);
  bind_text(mark, 5, ids);
  step_once(mark);
  step_once(commit);
  if (got != count) {
    fprintf(stderr, "claimed %d of %d\n", got, count);
    exit(1);
  }
}

static void complete(const struct claimed* jobs, int count) {
  step_once(begin);
  for (const struct claimed* job = jobs; job < jobs + count; ++job) {
    const long long now = now_us(CLOCK_REALTIME);
    sqlite3_bind_int64(finish, 1, job->id);
    sqlite3_bind_int64(finish, 2, job->fence);
    sqlite3_bind_int64(finish, 3, now + 86400000000LL);
    sqlite3_bind_int64(finish, 4, now);
    step_once(finish);
    if (sqlite3_changes(db) != 1) {
      fprintf(stderr, "job %lld was not finished\n", job->id);
      exit(1);
    }
  }
  step_once(commit);
}

int main(int argc, char** argv) {
  char path[4096];
  const long jobs = argc == 4 ? atol(argv[2]) : 0;
  const int batch = argc == 4 ? atoi(argv[3]) : 0;
  if (jobs < 1 || batch < 1 ||
      snprintf(path, sizeof path, "%s/limit.db", argv[1]) >= (int)sizeof path) {
    fprintf(stderr, "usage: limit_sqlite FOLDER JOBS BATCH\n");
    return 2;
  }
  unlink(path);
  check(sqlite3_open(path, &db), path);
  check(sqlite3_exec(db, kSchema, NULL, NULL, NULL), "schema");
  begin = prepare("BEGIN IMMEDIATE");
  commit = prepare("COMMIT");
  insert = prepare(kInsert);
  pick = prepare(kPick);
  mark = prepare(kMark);
  finish = prepare(kFinish);

  struct claimed* claimed = calloc((size_t)batch, sizeof *claimed);
  ids = malloc((size_t)batch * 21 + 2);
  const long long started = now_us(CLOCK_MONOTONIC);
  for (long done = 0; done < jobs; done += batch) {
    enqueue(batch);
    take(claimed, batch, done);
    complete(claimed, batch);
  }
  const double took = (double)(now_us(CLOCK_MONOTONIC) - started) / 1e6;
  printf("%.6g\n", (double)jobs / took);

  for (sqlite3_stmt* s; (s = sqlite3_next_stmt(db, NULL)) != NULL;) sqlite3_finalize(s);
  sqlite3_close(db);
  free(ids);
  free(claimed);
  return unlink(path);
}
