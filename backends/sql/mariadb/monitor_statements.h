// What is paused, and what a monitor asks.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::mariadb {

inline constexpr const char* kPause = R"sql(
INSERT IGNORE INTO carrel_paused (queue) VALUES (:queue))sql";

inline constexpr const char* kResume = R"sql(
DELETE FROM carrel_paused WHERE queue = :queue)sql";

inline constexpr const char* kPaused = R"sql(
SELECT queue FROM carrel_paused ORDER BY queue)sql";

inline constexpr const char* kFootprint = R"sql(
SELECT CAST(COALESCE(t.data_length + t.index_length, 0) AS SIGNED) AS bytes,
       CAST(COALESCE(t.data_free, 0) AS SIGNED) AS spare,
       (SELECT CAST(s.variable_value AS SIGNED) FROM information_schema.global_status AS s
         WHERE s.variable_name = 'INNODB_HISTORY_LIST_LENGTH') AS dead,
       CAST(NULL AS SIGNED) AS oldest
  FROM information_schema.tables AS t
 WHERE t.table_schema = DATABASE() AND t.table_name = 'carrel_jobs')sql";

inline constexpr const char* kNotFinal = R"sql(
SELECT STRAIGHT_JOIN j.id
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j ON j.id = r.id)sql";

inline constexpr const char* kReadJobs = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.attempt, j.max_attempts,
       j.crashes, j.cancel_requested, j.fence, j.expires_at, j.enqueued_at, j.run_at,
       j.started_at, NULL, j.timeout_us, j.worker, COALESCE(HEX(j.request_id), ''),
       COALESCE(HEX(COALESCE(j.payload, p.bytes)), ''), '',
       n.job, n.fraction, COALESCE(HEX(n.message), ''), COALESCE(HEX(n.checkpoint), ''),
       COALESCE(HEX(n.log), '')
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j ON j.id = r.id
  LEFT JOIN carrel_payloads AS p ON p.job = j.id
  LEFT JOIN carrel_notes AS n ON n.job = j.id
UNION ALL
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.attempt, j.max_attempts,
       j.crashes, j.cancel_requested, j.fence, j.expires_at, j.enqueued_at, j.run_at,
       j.started_at, j.ended_at, j.timeout_us, j.worker, COALESCE(HEX(j.request_id), ''),
       COALESCE(HEX(COALESCE(j.payload, p.bytes)), ''), COALESCE(HEX(j.result), ''),
       n.job, n.fraction, COALESCE(HEX(n.message), ''), COALESCE(HEX(n.checkpoint), ''),
       COALESCE(HEX(n.log), '')
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_history AS j ON j.id = r.id
  LEFT JOIN carrel_payloads AS p ON p.job = j.id
  LEFT JOIN carrel_notes AS n ON n.job = j.id)sql";

// What may be long of those, in several rows a job. 256: kAttemptBytes.
inline constexpr const char* kReadSizes = R"sql(
SELECT STRAIGHT_JOIN j.id,
       COALESCE(OCTET_LENGTH(j.payload), 0) + COALESCE(OCTET_LENGTH(j.result), 0)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_history AS j ON j.id = r.id
UNION ALL
SELECT STRAIGHT_JOIN p.job, OCTET_LENGTH(p.bytes)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_payloads AS p ON p.job = r.id
UNION ALL
SELECT STRAIGHT_JOIN n.job, OCTET_LENGTH(n.checkpoint) + OCTET_LENGTH(n.log)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_notes AS n ON n.job = r.id
UNION ALL
SELECT r.id,
       (SELECT CAST(COALESCE(SUM(256 + OCTET_LENGTH(a.message) +
                                 OCTET_LENGTH(a.stderr_tail)), 0) AS SIGNED)
          FROM carrel_attempts AS a
         WHERE a.job = r.id)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r)sql";

inline constexpr const char* kReadAttempts = R"sql(
SELECT STRAIGHT_JOIN a.job, a.fence, a.attempt, a.class, HEX(a.message), a.code, a.native,
       a.exit_code, a.`signal`, a.wall_us, a.cpu_us, a.max_rss, HEX(a.stderr_tail),
       HEX(a.ending), a.worker, a.started_at, a.ended_at
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_attempts AS a ON a.job = r.id
 ORDER BY a.job, a.fence)sql";

// Four walks, of which those run whose states are asked for: each table's ids downwards
// where what is asked for is what most rows are (available, completed); else what the
// index of the states finds.
inline constexpr const char* kList = R"sql(
(SELECT id
   FROM carrel_jobs FORCE INDEX (PRIMARY)
  WHERE :states & 4 <> 0
    AND id < :before
    AND (:states >> state) & 1
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_jobs FORCE INDEX (carrel_jobs_available)
  WHERE :states & 4 = 0 AND :states & 27 <> 0
    AND state IN (IF(:states & 1, 0, -1), IF(:states & 2, 1, -1), IF(:states & 8, 3, -1),
                  IF(:states & 16, 4, -1))
    AND id < :before
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history FORCE INDEX (PRIMARY)
  WHERE :states & 32 <> 0
    AND id < :before
    AND (:states >> state) & 1
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history FORCE INDEX (carrel_history_wake)
  WHERE :states & 32 = 0 AND :states & 192 <> 0
    AND state IN (IF(:states & 64, 6, -1), IF(:states & 128, 7, -1))
    AND id < :before
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
 ORDER BY 1 DESC
 LIMIT :most)sql";

// Where so many are in the states of :states that to sort them for a page takes longer
// than to look for them among the next rows.
inline constexpr const char* kListMany = R"sql(
SELECT COUNT(*) > 20000
  FROM ((SELECT 1
           FROM carrel_jobs FORCE INDEX (carrel_jobs_available)
          WHERE :states & 192 = 0
            AND state IN (IF(:states & 2, 1, -1), IF(:states & 16, 4, -1))
          LIMIT 20001)
        UNION ALL
        (SELECT 1
           FROM carrel_history FORCE INDEX (carrel_history_wake)
          WHERE :states & 192 <> 0
            AND state IN (IF(:states & 64, 6, -1), IF(:states & 128, 7, -1))
          LIMIT 20001)) AS rare)sql";

// Those among the next rows of the one table that may have them.
inline constexpr const char* kListNear = R"sql(
SELECT id
  FROM ((SELECT id, state, queue, kind, enqueued_at
           FROM carrel_jobs FORCE INDEX (PRIMARY)
          WHERE :states & 192 = 0 AND id < :before
          ORDER BY id DESC
          LIMIT 10000)
        UNION ALL
        (SELECT id, state, queue, kind, enqueued_at
           FROM carrel_history FORCE INDEX (PRIMARY)
          WHERE :states & 192 <> 0 AND id < :before
          ORDER BY id DESC
          LIMIT 10000)) AS near
 WHERE (:states >> state) & 1
   AND (:queue = '' OR queue = :queue)
   AND (:kind = '' OR kind = :kind)
   AND enqueued_at <= :enqueued_before
 ORDER BY id DESC
 LIMIT :most)sql";

inline constexpr const char* kCountAvailable = R"sql(
SELECT queue, kind, COUNT(*), MIN(run_at)
  FROM carrel_jobs
 WHERE state IN (2, 18)
 GROUP BY queue, kind)sql";

inline constexpr const char* kCountWaiting = R"sql(
SELECT queue, state, COUNT(*)
  FROM carrel_jobs
 WHERE state IN (0, 1, 3, 4)
 GROUP BY queue, state)sql";

inline constexpr const char* kCountFinal = R"sql(
SELECT queue, state, CAST(SUM(jobs) AS SIGNED)
  FROM carrel_tally
 GROUP BY queue, state
HAVING SUM(jobs) > 0)sql";

}  // namespace carrel::sql::mariadb
