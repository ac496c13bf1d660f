// Rows on their way: locked, saved, completed, renewed, purged, and the tally of those
// that ended. Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::postgresql {

inline constexpr const char* kLockJobs = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       NULL::bigint, claim_number, worker
  FROM carrel_jobs
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY id
   FOR UPDATE)sql";

// The rows first, by their ids: what order a join gives that to them costs a walk
// through the whole index.
inline constexpr const char* kLockRuns = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       NULL::bigint, claim_number, worker
  FROM carrel_jobs
 WHERE id = ANY(ARRAY(SELECT r.id FROM json_to_recordset(:rows::json) AS r(id bigint)))
   AND ((id, fence) IN (SELECT r.id, r.fence FROM json_to_recordset(:rows::json)
                          AS r(id bigint, fence bigint))
        OR (id, finished_fence) IN (SELECT r.id, r.fence FROM json_to_recordset(:rows::json)
                                      AS r(id bigint, fence bigint)))
 ORDER BY id
   FOR UPDATE)sql";

inline const std::string kTryJobs = std::string(kLockJobs) + " SKIP LOCKED";
inline const std::string kTryRuns = std::string(kLockRuns) + " SKIP LOCKED";

inline constexpr const char* kLockHistory = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       ended_at, claim_number, worker
  FROM carrel_history
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY id
   FOR UPDATE)sql";

inline const std::string kTryHistory = std::string(kLockHistory) + " SKIP LOCKED";

inline constexpr const char* kSaveJobs = R"sql(
UPDATE carrel_jobs j
   SET state = r.state,
       cancel_requested = r.cancel_requested,
       attempt = r.attempt,
       max_attempts = r.max_attempts,
       crashes = r.crashes,
       finished_fence = r.finished_fence,
       wake_at = r.wake_at,
       expires_at = r.expires_at,
       run_at = r.run_at
  FROM json_to_recordset(:rows::json) AS r(
       id bigint, state smallint, cancel_requested smallint, attempt int,
       max_attempts int, crashes int, finished_fence bigint, wake_at bigint,
       expires_at bigint, run_at bigint)
 WHERE j.id = r.id)sql";

inline constexpr const char* kToHistory = R"sql(
WITH moved AS (
  DELETE FROM carrel_jobs
   WHERE id = ANY(ARRAY(SELECT r.id FROM json_to_recordset(:rows::json) AS r(id bigint)))
  RETURNING *
)
INSERT INTO carrel_history
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, ended_at, timeout_us, claim_number, worker, request_id, payload,
        result)
SELECT moved.id, r.state, moved.queue, moved.kind, moved.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, moved.fence, r.finished_fence,
       r.wake_at, r.expires_at, moved.enqueued_at, r.run_at, moved.started_at,
       r.ended_at, moved.timeout_us, moved.claim_number, moved.worker, moved.request_id,
       moved.payload, decode(r.result, 'hex')
  FROM moved
  JOIN json_to_recordset(:rows::json) AS r(
       id bigint, state smallint, cancel_requested smallint, attempt int,
       max_attempts int, crashes int, finished_fence bigint, wake_at bigint,
       expires_at bigint, run_at bigint, ended_at bigint, result text)
    ON r.id = moved.id)sql";

inline constexpr const char* kToJobs = R"sql(
WITH moved AS (
  DELETE FROM carrel_history
   WHERE id = ANY(ARRAY(SELECT r.id FROM json_to_recordset(:rows::json) AS r(id bigint)))
  RETURNING *
)
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, timeout_us, claim_number, worker, request_id, payload)
SELECT moved.id, r.state, moved.queue, moved.kind, moved.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, moved.fence, r.finished_fence,
       r.wake_at, r.expires_at, moved.enqueued_at, r.run_at, moved.started_at,
       moved.timeout_us, moved.claim_number, moved.worker, moved.request_id,
       moved.payload
  FROM moved
  JOIN json_to_recordset(:rows::json) AS r(
       id bigint, state smallint, cancel_requested smallint, attempt int,
       max_attempts int, crashes int, finished_fence bigint, wake_at bigint,
       expires_at bigint, run_at bigint)
    ON r.id = moved.id)sql";

inline constexpr const char* kComplete = R"sql(
WITH asked AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(
         id bigint, fence bigint, result text, attempt int, wall_us bigint)
), done AS (
  DELETE FROM carrel_jobs j
   USING asked
   WHERE j.id = asked.id AND j.fence = asked.fence AND j.state = 3
  RETURNING j.*, asked.result AS asked_result, asked.attempt AS asked_attempt,
            asked.wall_us AS asked_wall_us
), history AS (
  INSERT INTO carrel_history
         (id, state, queue, kind, priority, attempt, max_attempts, crashes,
          cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at,
          run_at, started_at, ended_at, timeout_us, claim_number, worker, request_id,
          payload, result)
  SELECT id, 5, queue, kind, priority, attempt, max_attempts, crashes, cancel_requested,
         fence, fence, :wake_at::bigint, expires_at, enqueued_at, run_at, started_at, :now::bigint,
         timeout_us, claim_number, worker, request_id, payload,
         decode(asked_result, 'hex')
    FROM done
), attempts AS (
  INSERT INTO carrel_attempts
         (job, fence, attempt, class, wall_us, worker, started_at, ended_at)
  SELECT id, fence, asked_attempt, 0, asked_wall_us, worker, started_at, :now::bigint
    FROM done
   WHERE asked_attempt IS NOT NULL
), tally AS (
  INSERT INTO carrel_tally (queue, state, jobs)
  SELECT queue, 5, count(*) FROM done GROUP BY queue
)
SELECT id, queue FROM done)sql";

inline constexpr const char* kCompleteAndForget = R"sql(
WITH asked AS MATERIALIZED (
  SELECT * FROM json_to_recordset(:rows::json) AS r(id bigint, fence bigint)
), done AS (
  DELETE FROM carrel_jobs j
   USING asked
   WHERE j.id = asked.id AND j.fence = asked.fence AND j.state = 3
  RETURNING j.id, j.queue, j.fence, j.request_id, j.payload IS NULL AS beside
), requests AS (
  DELETE FROM carrel_requests
   WHERE request_id = ANY(ARRAY(SELECT request_id FROM done
                                 WHERE request_id IS NOT NULL))
), payloads AS (
  DELETE FROM carrel_payloads
   WHERE job = ANY(ARRAY(SELECT id FROM done WHERE beside))
), attempts AS (
  DELETE FROM carrel_attempts
   WHERE job = ANY(ARRAY(SELECT id FROM done WHERE fence > 1))
), notes AS (
  DELETE FROM carrel_notes WHERE job = ANY(ARRAY(SELECT id FROM done))
), keys_left AS (
  UPDATE carrel_unique SET state = 5
   WHERE job = ANY(ARRAY(SELECT id FROM done)) AND until > :now::bigint
), keys_freed AS (
  DELETE FROM carrel_unique
   WHERE job = ANY(ARRAY(SELECT id FROM done)) AND until <= :now::bigint
)
SELECT id, queue FROM done)sql";

inline constexpr const char* kKeepHistory = R"sql(
UPDATE carrel_history h
   SET wake_at = r.wake_at
  FROM json_to_recordset(:rows::json) AS r(id bigint, wake_at bigint)
 WHERE h.id = r.id)sql";

inline constexpr const char* kAddAttempts = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, signal,
        wall_us, cpu_us, max_rss, stderr_tail, ending, worker, started_at, ended_at)
SELECT job, fence, attempt, class, decode(message, 'hex'), code, native, exit_code,
       signal, wall_us, cpu_us, max_rss, decode(stderr_tail, 'hex'),
       decode(ending, 'hex'), worker, started_at, :now::bigint
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, fence bigint, attempt int, class smallint, message text, code smallint,
       native int, exit_code int, signal int, wall_us bigint, cpu_us bigint,
       max_rss bigint, stderr_tail text, ending text, worker text,
       started_at bigint))sql";

inline constexpr const char* kTrimAttempts = R"sql(
DELETE FROM carrel_attempts
 WHERE job = :job
   AND fence <= (SELECT fence FROM carrel_attempts
                  WHERE job = :job ORDER BY fence DESC LIMIT 1 OFFSET :keep))sql";

inline constexpr const char* kRenew = R"sql(
UPDATE carrel_jobs
   SET wake_at = :lease_end
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 3)sql";

inline constexpr const char* kRunningOfWorker = R"sql(
SELECT id, fence
  FROM carrel_jobs
 WHERE state = 3 AND worker = :worker AND claim_number <= :settled)sql";

inline constexpr const char* kReadNotes = R"sql(
SELECT job, fraction, encode(message, 'hex'), encode(checkpoint, 'hex'),
       encode(log, 'hex')
  FROM carrel_notes
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

inline constexpr const char* kSaveNotes = R"sql(
INSERT INTO carrel_notes (job, fraction, message, checkpoint, log)
SELECT job, fraction, decode(message, 'hex'), decode(checkpoint, 'hex'),
       decode(log, 'hex')
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, fraction float8, message text, checkpoint text, log text)
    ON CONFLICT (job) DO UPDATE
   SET fraction = excluded.fraction,
       message = excluded.message,
       checkpoint = excluded.checkpoint,
       log = excluded.log)sql";

inline constexpr const char* kReadPayloads = R"sql(
SELECT job, encode(bytes, 'hex')
  FROM (SELECT job, bytes,
               sum(octet_length(bytes)) OVER (ORDER BY job) - octet_length(bytes) AS before
          FROM carrel_payloads
         WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))) AS p
 WHERE before < :most
 ORDER BY job)sql";

inline constexpr const char* kReadCheckpoints = R"sql(
SELECT job, encode(checkpoint, 'hex')
  FROM (SELECT job, checkpoint, sum(octet_length(checkpoint)) OVER (ORDER BY job) -
                                octet_length(checkpoint) AS before
          FROM carrel_notes
         WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))) AS n
 WHERE before < :most
 ORDER BY job)sql";

inline constexpr const char* kDueJobs = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE wake_at <= :now::bigint
 ORDER BY wake_at
 LIMIT :most OFFSET :passed
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kDueHistory = R"sql(
SELECT id
  FROM carrel_history
 WHERE state IN (5, 6, 7) AND wake_at <= :now::bigint
 LIMIT :most OFFSET :passed
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kNextWake = R"sql(
SELECT now_us,
       least((SELECT min(wake_at) FROM carrel_jobs),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 5),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 6),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 7),
             (SELECT min(until) FROM carrel_unique WHERE state IS NOT NULL),
             (SELECT min(wake_at) FROM carrel_rate_keys))
  FROM carrel_clock)sql";

inline constexpr const char* kOldestHistory = R"sql(
SELECT id, ended_at
  FROM carrel_history
 WHERE state = :state
 ORDER BY wake_at
 LIMIT :most)sql";

inline constexpr const char* kPurge = R"sql(
WITH gone AS MATERIALIZED (
  SELECT json_array_elements_text(:ids::json)::bigint AS id
), jobs AS (
  DELETE FROM carrel_jobs WHERE id = ANY(ARRAY(SELECT id FROM gone))
), history AS (
  DELETE FROM carrel_history WHERE id = ANY(ARRAY(SELECT id FROM gone))
), requests AS (
  DELETE FROM carrel_requests WHERE job = ANY(ARRAY(SELECT id FROM gone))
), payloads AS (
  DELETE FROM carrel_payloads WHERE job = ANY(ARRAY(SELECT id FROM gone))
), notes AS (
  DELETE FROM carrel_notes WHERE job = ANY(ARRAY(SELECT id FROM gone))
), limits AS (
  DELETE FROM carrel_limits WHERE job = ANY(ARRAY(SELECT id FROM gone))
), rates AS (
  DELETE FROM carrel_rates WHERE job = ANY(ARRAY(SELECT id FROM gone))
)
DELETE FROM carrel_attempts WHERE job = ANY(ARRAY(SELECT id FROM gone)))sql";

inline constexpr const char* kAddTally = R"sql(
INSERT INTO carrel_tally (queue, state, jobs)
SELECT queue, state, jobs
  FROM json_to_recordset(:rows::json) AS r(queue text, state smallint, jobs bigint))sql";

inline constexpr const char* kFinalRows = R"sql(
SELECT coalesce(sum(jobs), 0)::bigint FROM carrel_tally)sql";

inline constexpr const char* kReadTally = R"sql(
SELECT id, queue, state, jobs FROM carrel_tally ORDER BY id LIMIT 10000
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kDeleteTally = R"sql(
DELETE FROM carrel_tally
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

}  // namespace carrel::sql::postgresql
