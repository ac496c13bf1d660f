// What is paused, and what a monitor asks.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::postgresql {

inline constexpr const char* kPause = R"sql(
INSERT INTO carrel_paused (queue) VALUES (:queue) ON CONFLICT DO NOTHING)sql";

inline constexpr const char* kResume = "DELETE FROM carrel_paused WHERE queue = :queue";

inline constexpr const char* kPaused = "SELECT queue FROM carrel_paused ORDER BY queue";

// Of sessions of others only what the server lets this user see.
inline constexpr const char* kFootprint = R"sql(
SELECT pg_total_relation_size(c.oid) AS bytes, CAST(NULL AS bigint) AS spare,
       s.n_dead_tup AS dead,
       (SELECT CAST(extract(epoch FROM clock_timestamp() - min(a.xact_start)) * 1000000
                    AS bigint)
          FROM pg_catalog.pg_stat_activity AS a
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
           AND a.backend_type = 'client backend'
           AND a.backend_xmin IS NOT NULL) AS oldest
  FROM pg_catalog.pg_class AS c
  LEFT JOIN pg_catalog.pg_stat_user_tables AS s ON s.relid = c.oid
 WHERE c.relname = 'carrel_jobs' AND pg_table_is_visible(c.oid))sql";

inline constexpr const char* kNotFinal = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

inline constexpr const char* kReadJobs = R"sql(
SELECT j.id, j.state, j.queue, j.kind, j.priority, j.attempt, j.max_attempts, j.crashes,
       j.cancel_requested, j.fence, j.expires_at, j.enqueued_at, j.run_at, j.started_at,
       j.ended_at, j.timeout_us, j.worker, coalesce(encode(j.request_id, 'hex'), ''),
       encode(coalesce(j.payload, p.bytes, ''), 'hex'),
       encode(coalesce(j.result, ''), 'hex'), n.job, n.fraction,
       encode(coalesce(n.message, ''), 'hex'), encode(coalesce(n.checkpoint, ''), 'hex'),
       encode(coalesce(n.log, ''), 'hex')
  FROM (SELECT id, state, queue, kind, priority, attempt, max_attempts, crashes,
               cancel_requested, fence, expires_at, enqueued_at, run_at, started_at,
               NULL::bigint AS ended_at, timeout_us, worker, request_id, payload,
               NULL::bytea AS result
          FROM carrel_jobs
         WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
        UNION ALL
        SELECT id, state, queue, kind, priority, attempt, max_attempts, crashes,
               cancel_requested, fence, expires_at, enqueued_at, run_at, started_at,
               ended_at, timeout_us, worker, request_id, payload, result
          FROM carrel_history
         WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))) AS j
  LEFT JOIN carrel_payloads p ON p.job = j.id
  LEFT JOIN carrel_notes n ON n.job = j.id)sql";

// What may be long of those, in several rows a job. 256: kAttemptBytes.
inline constexpr const char* kReadSizes = R"sql(
SELECT id, (coalesce(octet_length(payload), 0) + coalesce(octet_length(result), 0))::bigint
  FROM carrel_history
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
UNION ALL
SELECT job, octet_length(bytes)
  FROM carrel_payloads
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
UNION ALL
SELECT job, octet_length(checkpoint) + octet_length(log)
  FROM carrel_notes
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
UNION ALL
SELECT job, sum(256 + octet_length(message) + octet_length(stderr_tail))::bigint
  FROM carrel_attempts
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 GROUP BY job)sql";

inline constexpr const char* kReadAttempts = R"sql(
SELECT job, fence, attempt, class, encode(message, 'hex'), code, native, exit_code,
       signal, wall_us, cpu_us, max_rss, encode(stderr_tail, 'hex'),
       encode(ending, 'hex'), worker, started_at, ended_at
  FROM carrel_attempts
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY job, fence)sql";

// :states is a mask, bit n for state n.
// Four walks, of which those run whose states are asked for (what depends on parameters
// alone is looked at once): each table's ids downwards where what is asked for is what
// most rows are (available, completed); else what the index of the others finds, by an
// expression, as the ids themselves would lead through all rows.
inline constexpr const char* kList = R"sql(
(SELECT id
   FROM carrel_jobs
  WHERE :states::int & 4 <> 0
    AND id < :before
    AND (:states::int >> state) & 1 = 1
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM (SELECT id, queue, kind, enqueued_at
           FROM carrel_jobs
          WHERE :states::int & 12 = 8 AND state = 3
         UNION ALL
         SELECT id, queue, kind, enqueued_at
           FROM carrel_jobs
          WHERE :states::int & 4 = 0 AND :states::int & 19 <> 0
            AND wake_at IS NOT NULL AND state IN (0, 1, 4)
            AND (:states::int >> state) & 1 = 1) AS few
  WHERE id + 0 < :before
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id + 0 DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history
  WHERE :states::int & 32 <> 0
    AND id < :before
    AND (:states::int >> state) & 1 = 1
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history
  WHERE :states::int & 32 = 0 AND :states::int & 192 <> 0
    AND state IN (CASE WHEN :states::int & 64 <> 0 THEN 6 ELSE -1 END,
                  CASE WHEN :states::int & 128 <> 0 THEN 7 ELSE -1 END)
    AND id + 0 < :before
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id + 0 DESC
  LIMIT :most)
 ORDER BY 1 DESC
 LIMIT :most)sql";

// Where so many are in the states of :states that to sort them for a page takes longer
// than to look for them among the next rows. In order: else a bitmap is made of all of
// them.
inline constexpr const char* kListMany = R"sql(
SELECT (count(*) > 20000)::int
  FROM ((SELECT 1
           FROM carrel_jobs
          WHERE :states::int & 192 = 0 AND wake_at IS NOT NULL AND state IN (1, 4)
            AND (:states::int >> state) & 1 = 1
          ORDER BY wake_at
          LIMIT 20001)
        UNION ALL
        (SELECT 1
           FROM carrel_history
          WHERE :states::int & 192 <> 0
            AND state IN (CASE WHEN :states::int & 64 <> 0 THEN 6 ELSE -1 END,
                          CASE WHEN :states::int & 128 <> 0 THEN 7 ELSE -1 END)
          ORDER BY state, wake_at
          LIMIT 20001)) AS rare)sql";

// Those among the next rows of the one table that may have them.
inline constexpr const char* kListNear = R"sql(
SELECT id
  FROM ((SELECT id, state, queue, kind, enqueued_at
           FROM carrel_jobs
          WHERE :states::int & 192 = 0 AND id < :before
          ORDER BY id DESC
          LIMIT 10000)
        UNION ALL
        (SELECT id, state, queue, kind, enqueued_at
           FROM carrel_history
          WHERE :states::int & 192 <> 0 AND id < :before
          ORDER BY id DESC
          LIMIT 10000)) AS near
 WHERE (:states::int >> state) & 1 = 1
   AND (:queue::text = '' OR queue = :queue)
   AND (:kind::text = '' OR kind = :kind)
   AND enqueued_at <= :enqueued_before
 ORDER BY id DESC
 LIMIT :most)sql";

inline constexpr const char* kCountAvailable = R"sql(
SELECT queue, kind, count(*), min(run_at)
  FROM carrel_jobs
 WHERE state = 2
 GROUP BY queue, kind
UNION ALL
SELECT queue, kind, count(*), min(run_at)
  FROM carrel_jobs
 WHERE state = 18
 GROUP BY queue, kind)sql";

inline constexpr const char* kCountWaiting = R"sql(
SELECT queue, state, count(*)
  FROM carrel_jobs
 WHERE state IN (0, 1, 3, 4) AND wake_at IS NOT NULL
 GROUP BY queue, state)sql";

inline constexpr const char* kCountFinal = R"sql(
SELECT queue, state, sum(jobs)::bigint
  FROM carrel_tally
 GROUP BY queue, state
HAVING sum(jobs) > 0)sql";

}  // namespace carrel::sql::postgresql
