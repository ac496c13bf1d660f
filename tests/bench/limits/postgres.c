/* See servers.h. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "median.h"
#include "servers.h"

static const char kSchema[] =
    "SET client_min_messages = error;"
    "DROP TABLE IF EXISTS bare_jobs, bare_history, bare_tally;"
    "DROP SEQUENCE IF EXISTS bare_id;"
    "CREATE SEQUENCE bare_id;"
    "CREATE TABLE bare_jobs ("
    "  id bigint PRIMARY KEY, fence bigint NOT NULL DEFAULT 0,"
    "  finished_fence bigint NOT NULL DEFAULT 0, wake_at bigint, expires_at bigint,"
    "  enqueued_at bigint NOT NULL, run_at bigint NOT NULL, started_at bigint,"
    "  timeout_us bigint NOT NULL, claim_number bigint NOT NULL DEFAULT 0,"
    "  attempt integer NOT NULL DEFAULT 0, max_attempts integer NOT NULL,"
    "  crashes integer NOT NULL DEFAULT 0, state smallint NOT NULL,"
    "  priority smallint NOT NULL, cancel_requested smallint NOT NULL DEFAULT 0,"
    "  queue text COLLATE \"C\" NOT NULL, kind text COLLATE \"C\" NOT NULL,"
    "  worker text COLLATE \"C\" NOT NULL DEFAULT '', request_id bytea, payload bytea"
    ") WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,"
    "        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);"
    "CREATE INDEX ON bare_jobs (queue, kind, priority, run_at, id) WHERE state = 2;"
    "CREATE INDEX ON bare_jobs (wake_at) WHERE wake_at IS NOT NULL;"
    "CREATE INDEX ON bare_jobs (worker, claim_number) WHERE state = 3;"
    "CREATE TABLE bare_history ("
    "  id bigint PRIMARY KEY, fence bigint NOT NULL, finished_fence bigint NOT NULL,"
    "  wake_at bigint NOT NULL, enqueued_at bigint NOT NULL, run_at bigint NOT NULL,"
    "  started_at bigint, ended_at bigint NOT NULL, timeout_us bigint NOT NULL,"
    "  claim_number bigint NOT NULL, attempt integer NOT NULL,"
    "  max_attempts integer NOT NULL, crashes integer NOT NULL, state smallint NOT NULL,"
    "  priority smallint NOT NULL, queue text COLLATE \"C\" NOT NULL,"
    "  kind text COLLATE \"C\" NOT NULL, worker text COLLATE \"C\" NOT NULL,"
    "  payload bytea, result bytea);"
    "CREATE INDEX ON bare_history (state, wake_at);"
    "CREATE TABLE bare_tally (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  queue text COLLATE \"C\" NOT NULL, state smallint NOT NULL, jobs bigint NOT NULL)";

static const char kFill[] =
    "INSERT INTO bare_jobs (id, state, queue, kind, priority, max_attempts, enqueued_at,"
    "  run_at, timeout_us, payload)"
    " SELECT nextval('bare_id'), 2, 'default', 'noop', 0, 25, n, n, 0, 'null'"
    "   FROM generate_series(1, %ld) AS n";

static const char kInsert[] =
    "INSERT INTO bare_jobs (id, state, queue, kind, priority, max_attempts, enqueued_at,"
    "  run_at, timeout_us, payload)"
    " SELECT nextval('bare_id'), 2, 'default', 'noop', 0, 25, $1::bigint, $1::bigint, 0,"
    "   'null'";

static const char kClaim[] =
    "WITH best AS MATERIALIZED ("
    "  SELECT id FROM bare_jobs WHERE state = 2 AND queue = 'default' AND kind = 'noop'"
    "     AND (expires_at IS NULL OR expires_at > $1::bigint)"
    "   ORDER BY priority, run_at, id LIMIT $2::int FOR UPDATE SKIP LOCKED)"
    " UPDATE bare_jobs SET state = 3, fence = fence + 1, attempt = attempt + 1,"
    "   wake_at = $1::bigint + 30000000, claim_number = 1, worker = 'host:1234:1',"
    "   started_at = $1::bigint"
    "  WHERE id = ANY(ARRAY(SELECT id FROM best))"
    " RETURNING id, fence, queue, kind, payload, timeout_us, priority, run_at, attempt,"
    "   max_attempts, crashes";

#define BARE_DONE                                            \
  "WITH done AS (DELETE FROM bare_jobs j USING"              \
  "  unnest($1::bigint[], $2::bigint[]) AS asked(id, fence)" \
  "  WHERE j.id = asked.id AND j.fence = asked.fence AND j.state = 3 RETURNING j.*)"

static const char kFinish[] = BARE_DONE
    ", history AS (INSERT INTO bare_history SELECT id, fence, fence,"
    "   $3::bigint + 86400000000, enqueued_at, run_at, started_at, $3::bigint,"
    "   timeout_us, claim_number, attempt, max_attempts, crashes, 5, priority, queue,"
    "   kind, worker, payload, NULL FROM done),"
    " tally AS (INSERT INTO bare_tally (queue, state, jobs)"
    "   SELECT queue, 5, count(*) FROM done GROUP BY queue)"
    " SELECT id, queue FROM done";
static const char kForget[] = BARE_DONE " SELECT id, queue FROM done";

static PGconn* db;

static PGresult* check(PGresult* result, const char* what) {
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
      status == PGRES_COPY_IN) {
    return result;
  }
  fprintf(stderr, "%s: %s\n", what, PQerrorMessage(db));
  exit(1);
}

static void run(const char* sql) { PQclear(check(PQexec(db, sql), sql)); }

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(const char* connect) {
  db = PQconnectdb(connect);
  if (PQstatus(db) != CONNECTION_OK) {
    fprintf(stderr, "%s\n", PQerrorMessage(db));
    exit(1);
  }
  run(kSchema);
}

/* "{7,8,9}" of a column of what was claimed. */
static char* array_of(const PGresult* rows, int column, char* text) {
  char* at = text;
  *at++ = '{';
  for (int i = 0; i < PQntuples(rows); ++i) {
    at += sprintf(at, "%s%s", i > 0 ? "," : "", PQgetvalue(rows, i, column));
  }
  strcpy(at, "}");
  return text;
}

double postgres_drain(const char* connect, long jobs, int batch, int history) {
  char sql[512];
  begin(connect);
  snprintf(sql, sizeof sql, kFill, jobs);
  run(sql);
  run("ANALYZE bare_jobs");
  PQclear(check(PQprepare(db, "claim", kClaim, 2, NULL), kClaim));
  PQclear(
      check(PQprepare(db, "finish", history ? kFinish : kForget, history ? 3 : 2, NULL),
            kFinish));
  char* ids = malloc((size_t)batch * 24 + 3);
  char* fences = malloc((size_t)batch * 24 + 3);
  char time_text[24];
  char most[12];
  snprintf(most, sizeof most, "%d", batch);
  const double started = now(CLOCK_MONOTONIC);
  for (long done = 0; done < jobs;) {
    snprintf(time_text, sizeof time_text, "%lld", (long long)(now(CLOCK_REALTIME) * 1e6));
    const char* claim[] = {time_text, most};
    run("BEGIN");
    PGresult* rows = check(PQexecPrepared(db, "claim", 2, claim, NULL, NULL, 0), "claim");
    run("COMMIT");
    if (PQntuples(rows) == 0) {
      fprintf(stderr, "nothing to claim after %ld jobs\n", done);
      exit(1);
    }
    const char* finish[] = {array_of(rows, 0, ids), array_of(rows, 1, fences), time_text};
    run("BEGIN");
    PGresult* ended = check(
        PQexecPrepared(db, "finish", history ? 3 : 2, finish, NULL, NULL, 0), "finish");
    run("COMMIT");
    if (PQntuples(ended) != PQntuples(rows)) {
      fprintf(stderr, "%d of %d finished\n", PQntuples(ended), PQntuples(rows));
      exit(1);
    }
    done += PQntuples(ended);
    PQclear(ended);
    PQclear(rows);
  }
  const double rate = (double)jobs / (now(CLOCK_MONOTONIC) - started);
  free(ids);
  free(fences);
  PQfinish(db);
  return rate;
}

double postgres_latency(const char* connect, long jobs, long gap_us) {
  begin(connect);
  PQclear(check(PQprepare(db, "insert", kInsert, 1, NULL), kInsert));
  PQclear(check(PQprepare(db, "claim", kClaim, 2, NULL), kClaim));
  PQclear(check(PQprepare(db, "finish", kForget, 2, NULL), kForget));
  double* took = malloc((size_t)jobs * sizeof *took);
  char ids[32];
  char fences[32];
  char time_text[24];
  const struct timespec gap = {gap_us / 1000000, gap_us % 1000000 * 1000};
  for (long i = 0; i < jobs; ++i) {
    nanosleep(&gap, NULL);
    const double started = now(CLOCK_MONOTONIC);
    snprintf(time_text, sizeof time_text, "%lld", (long long)(now(CLOCK_REALTIME) * 1e6));
    const char* claim[] = {time_text, "2"};
    PQclear(check(PQexecPrepared(db, "insert", 1, claim, NULL, NULL, 0), "insert"));
    PGresult* rows = check(PQexecPrepared(db, "claim", 2, claim, NULL, NULL, 0), "claim");
    took[i] = (now(CLOCK_MONOTONIC) - started) * 1e6;
    if (PQntuples(rows) != 1) {
      fprintf(stderr, "%d of one job claimed\n", PQntuples(rows));
      exit(1);
    }
    const char* finish[] = {array_of(rows, 0, ids), array_of(rows, 1, fences)};
    PQclear(check(PQexecPrepared(db, "finish", 2, finish, NULL, NULL, 0), "finish"));
    PQclear(rows);
  }
  const double middle = median(took, (size_t)jobs);
  free(took);
  PQfinish(db);
  return middle;
}

double postgres_copy(const char* connect, long jobs, int batch) {
  static const char kCopy[] =
      "COPY bare_jobs (id, state, queue, kind, priority, max_attempts, enqueued_at,"
      " run_at, timeout_us, payload) FROM STDIN";
  char sql[512];
  char row[256];
  begin(connect);
  const double started = now(CLOCK_MONOTONIC);
  for (long sent = 0; sent < jobs; sent += batch) {
    const long long at = (long long)(now(CLOCK_REALTIME) * 1e6);
    run("BEGIN");
    snprintf(sql, sizeof sql, "SELECT nextval('bare_id') FROM generate_series(1, %d)",
             batch);
    PGresult* ids = check(PQexec(db, sql), sql);
    PQclear(check(PQexec(db, kCopy), kCopy));
    for (int i = 0; i < batch; ++i) {
      const int size = snprintf(
          row, sizeof row, "%s\t2\tdefault\tnoop\t0\t25\t%lld\t%lld\t0\t\\\\x6e756c6c\n",
          PQgetvalue(ids, i, 0), at, at);
      if (PQputCopyData(db, row, size) != 1) exit(1);
    }
    if (PQputCopyEnd(db, NULL) != 1) exit(1);
    PQclear(check(PQgetResult(db), kCopy));
    while (PQgetResult(db) != NULL) {
    }
    run("COMMIT");
    PQclear(ids);
  }
  const double rate = (double)jobs / (now(CLOCK_MONOTONIC) - started);
  PQfinish(db);
  return rate;
}
