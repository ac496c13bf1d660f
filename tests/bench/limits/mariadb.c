/* See servers.h. */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "median.h"
#include "servers.h"

static const char* const kSchema[] = {
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES', tx_isolation = 'READ-COMMITTED'",
    "DROP TABLE IF EXISTS bare_jobs, bare_history, bare_tally",
    "DROP SEQUENCE IF EXISTS bare_id",
    "CREATE SEQUENCE bare_id",
    "CREATE TABLE bare_jobs ("
    "  id bigint PRIMARY KEY, fence bigint NOT NULL DEFAULT 0,"
    "  finished_fence bigint NOT NULL DEFAULT 0, wake_at bigint, expires_at bigint,"
    "  enqueued_at bigint NOT NULL, run_at bigint NOT NULL, started_at bigint,"
    "  timeout_us bigint NOT NULL, claim_number bigint NOT NULL DEFAULT 0,"
    "  attempt integer NOT NULL DEFAULT 0, max_attempts integer NOT NULL,"
    "  crashes integer NOT NULL DEFAULT 0, state smallint NOT NULL,"
    "  priority smallint NOT NULL, cancel_requested smallint NOT NULL DEFAULT 0,"
    "  queue VARBINARY(128) NOT NULL, kind VARBINARY(128) NOT NULL,"
    "  worker VARBINARY(255) NOT NULL DEFAULT '', request_id VARBINARY(512),"
    "  payload LONGBLOB,"
    "  KEY available (state, queue, kind, priority, run_at, id), KEY wake (wake_at),"
    "  KEY worker (worker, state, claim_number)) ENGINE = InnoDB",
    "CREATE TABLE bare_history ("
    "  id bigint PRIMARY KEY, fence bigint NOT NULL, finished_fence bigint NOT NULL,"
    "  wake_at bigint NOT NULL, enqueued_at bigint NOT NULL, run_at bigint NOT NULL,"
    "  started_at bigint, ended_at bigint NOT NULL, timeout_us bigint NOT NULL,"
    "  claim_number bigint NOT NULL, attempt integer NOT NULL,"
    "  max_attempts integer NOT NULL, crashes integer NOT NULL, state smallint NOT NULL,"
    "  priority smallint NOT NULL, queue VARBINARY(128) NOT NULL,"
    "  kind VARBINARY(128) NOT NULL, worker VARBINARY(255) NOT NULL, payload LONGBLOB,"
    "  result LONGBLOB, KEY wake (state, wake_at)) ENGINE = InnoDB",
    "CREATE TABLE bare_tally (id bigint AUTO_INCREMENT PRIMARY KEY,"
    "  queue VARBINARY(128) NOT NULL, state smallint NOT NULL, jobs bigint NOT NULL)"
    "  ENGINE = InnoDB"};

static MYSQL* db;

static void run_size(const char* sql, size_t size) {
  if (mysql_real_query(db, sql, size) == 0) return;
  fprintf(stderr, "%.200s: %s\n", sql, mysql_error(db));
  exit(1);
}

static void run(const char* sql) { run_size(sql, strlen(sql)); }

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(int port) {
  db = mysql_init(NULL);
  if (mysql_real_connect(db, "127.0.0.1", "carrel", NULL, "carrel", (unsigned)port, NULL,
                         0) == NULL) {
    fprintf(stderr, "%s\n", mysql_error(db));
    exit(1);
  }
  for (size_t i = 0; i < sizeof kSchema / sizeof *kSchema; ++i) run(kSchema[i]);
}

/* One INSERT of many rows, as the store's client would escape them. */
static void insert(char* sql, int batch, long long at) {
  char* end = sql + sprintf(sql,
                            "INSERT INTO bare_jobs (id, state, queue, kind, priority,"
                            " max_attempts, enqueued_at, run_at, timeout_us, payload)"
                            " VALUES ");
  for (int i = 0; i < batch; ++i) {
    end += sprintf(end, "%s(NEXTVAL(bare_id),2,'default','noop',0,25,%lld,%lld,0,'null')",
                   i > 0 ? "," : "", at, at);
  }
  run_size(sql, (size_t)(end - sql));
}

double mariadb_insert(int port, long jobs, int batch) {
  begin(port);
  char* sql = malloc((size_t)batch * 128 + 256);
  const double started = now(CLOCK_MONOTONIC);
  for (long sent = 0; sent < jobs; sent += batch) {
    run("START TRANSACTION");
    insert(sql, batch, (long long)(now(CLOCK_REALTIME) * 1e6));
    run("COMMIT");
  }
  const double rate = (double)jobs / (now(CLOCK_MONOTONIC) - started);
  free(sql);
  mysql_close(db);
  return rate;
}

/* Ids and fences of what is claimed, as "(7,8,9)" and "((7,1),(8,1))". */
static long claim(char* ids, char* runs, int batch, long long at) {
  char sql[1024];
  snprintf(sql, sizeof sql,
           "SELECT id, fence + 1, queue, kind, payload, timeout_us, priority, run_at,"
           " attempt + 1, max_attempts, crashes FROM bare_jobs FORCE INDEX (available)"
           " WHERE state = 2 AND queue = 'default' AND kind = 'noop'"
           " AND (expires_at IS NULL OR expires_at > %lld)"
           " ORDER BY priority, run_at, id LIMIT %d FOR UPDATE SKIP LOCKED",
           at, batch);
  run(sql);
  MYSQL_RES* rows = mysql_store_result(db);
  const long got = (long)mysql_num_rows(rows);
  *ids++ = '(';
  *runs++ = '(';
  for (long i = 0; i < got; ++i) {
    MYSQL_ROW row = mysql_fetch_row(rows);
    ids += sprintf(ids, "%s%s", i > 0 ? "," : "", row[0]);
    runs += sprintf(runs, "%s(%s,%s)", i > 0 ? "," : "", row[0], row[1]);
  }
  strcpy(ids, ")");
  strcpy(runs, ")");
  mysql_free_result(rows);
  return got;
}

/* What is claimed is run. */
static void start(char* sql, size_t room, const char* ids, long long at) {
  snprintf(sql, room,
           "UPDATE bare_jobs SET state = 3, fence = fence + 1, attempt = attempt + 1,"
           " wake_at = %lld, claim_number = 1, worker = 'host:1234:1',"
           " started_at = %lld WHERE id IN %s",
           at + 30000000, at, ids);
  run(sql);
}

double mariadb_latency(int port, long jobs, long gap_us) {
  begin(port);
  double* took = malloc((size_t)jobs * sizeof *took);
  char sql[1024];
  char ids[64];
  char runs[64];
  const struct timespec gap = {gap_us / 1000000, gap_us % 1000000 * 1000};
  for (long i = 0; i < jobs; ++i) {
    nanosleep(&gap, NULL);
    const double started = now(CLOCK_MONOTONIC);
    const long long at = (long long)(now(CLOCK_REALTIME) * 1e6);
    insert(sql, 1, at);
    run("START TRANSACTION");
    const long got = claim(ids, runs, 1, at);
    start(sql, sizeof sql, ids, at);
    run("COMMIT");
    took[i] = (now(CLOCK_MONOTONIC) - started) * 1e6;
    if (got != 1) {
      fprintf(stderr, "%ld of one job claimed\n", got);
      exit(1);
    }
    snprintf(sql, sizeof sql, "DELETE FROM bare_jobs WHERE id IN %s", ids);
    run(sql);
  }
  const double middle = median(took, (size_t)jobs);
  free(took);
  mysql_close(db);
  return middle;
}

double mariadb_drain(int port, long jobs, int batch, int history) {
  const int fill = 1000;
  const size_t room = (size_t)(batch > fill ? batch : fill) * 128 + 1024;
  begin(port);
  char* sql = malloc(room);
  char* ids = malloc((size_t)batch * 24 + 3);
  char* runs = malloc((size_t)batch * 48 + 5);
  for (long n = 0; n < jobs; n += fill) insert(sql, fill, n + 1);
  run("ANALYZE TABLE bare_jobs");
  mysql_free_result(mysql_store_result(db));
  const double started = now(CLOCK_MONOTONIC);
  for (long done = 0; done < jobs;) {
    const long long at = (long long)(now(CLOCK_REALTIME) * 1e6);
    run("START TRANSACTION");
    const long got = claim(ids, runs, batch, at);
    if (got == 0) {
      fprintf(stderr, "nothing to claim after %ld jobs\n", done);
      exit(1);
    }
    start(sql, room, ids, at);
    run("COMMIT");
    run("START TRANSACTION");
    snprintf(sql, room,
             "SELECT id, fence, queue FROM bare_jobs WHERE id IN %s FOR UPDATE", ids);
    run(sql);
    mysql_free_result(mysql_store_result(db));
    if (history) {
      snprintf(sql, room,
               "INSERT INTO bare_history SELECT id, fence, fence, %lld, enqueued_at,"
               " run_at, started_at, %lld, timeout_us, claim_number, attempt,"
               " max_attempts, crashes, 5, priority, queue, kind, worker, payload, NULL"
               " FROM bare_jobs WHERE id IN %s",
               at + 86400000000LL, at, ids);
      run(sql);
    }
    snprintf(sql, room,
             "DELETE FROM bare_jobs WHERE state = 3 AND id IN %s AND (id, fence) IN %s",
             ids, runs);
    run(sql);
    if ((long)mysql_affected_rows(db) != got) {
      fprintf(stderr, "%ld of %ld finished\n", (long)mysql_affected_rows(db), got);
      exit(1);
    }
    if (history) {
      snprintf(sql, room,
               "INSERT INTO bare_tally (queue, state, jobs)"
               " VALUES ('default', 5, %ld)",
               got);
      run(sql);
    }
    run("COMMIT");
    done += got;
  }
  const double rate = (double)jobs / (now(CLOCK_MONOTONIC) - started);
  free(sql);
  free(ids);
  free(runs);
  mysql_close(db);
  return rate;
}
