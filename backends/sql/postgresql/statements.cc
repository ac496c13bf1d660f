#include "postgresql/statements.h"

namespace carrel::sql::postgresql {
namespace {

// An uncorrelated ARRAY(…) is computed once, and an index is then searched for its
// elements. No comment within a statement: SOCI looks for parameters in those, too.

const char* const kClaimRequests = R"sql(
INSERT INTO carrel_requests (request_id, job)
SELECT decode(r.request_id, 'hex'), nextval('carrel_job_id')
  FROM (SELECT request_id
          FROM json_to_recordset(:rows::json) AS r(n int, request_id text)
         ORDER BY request_id) AS r
    ON CONFLICT (request_id) DO NOTHING
RETURNING encode(request_id, 'hex'), job)sql";

const char* const kFindRequests = R"sql(
SELECT encode(q.request_id, 'hex'), q.job, coalesce(j.state, 0), coalesce(j.queue, ''),
       coalesce(j.kind, ''), coalesce(j.priority, 0)
  FROM carrel_requests q
  LEFT JOIN carrel_jobs j ON j.id = q.job
 WHERE q.request_id = ANY(ARRAY(
         SELECT decode(r.request_id, 'hex')
           FROM json_to_recordset(:rows::json) AS r(request_id text))))sql";

const char* const kInsertJobs = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT coalesce(r.id, nextval('carrel_job_id')), r.state, r.queue, r.kind, r.priority,
       r.max_attempts, r.wake_at, r.expires_at, :now::bigint, r.run_at, r.timeout_us,
       decode(r.request_id, 'hex'), decode(r.payload, 'hex')
  FROM (SELECT *
          FROM json_to_recordset(:rows::json) AS r(
               n int, id bigint, state smallint, queue text, kind text,
               priority smallint, max_attempts int, wake_at bigint, expires_at bigint,
               run_at bigint, timeout_us bigint, request_id text, payload text)
         ORDER BY n) AS r
RETURNING id)sql";

const char* const kInsertPayloads = R"sql(
INSERT INTO carrel_payloads (job, bytes)
SELECT r.job, decode(r.bytes, 'hex')
  FROM json_to_recordset(:rows::json) AS r(job bigint, bytes text))sql";

// DO UPDATE, which changes nothing, locks those that are there.
const char* const kLockKeys = R"sql(
INSERT INTO carrel_unique (key, job, enqueued_at, until)
SELECT decode(r.key, 'hex'), 0, 0, 0
  FROM (SELECT key FROM json_to_recordset(:rows::json) AS r(key text) ORDER BY key) AS r
    ON CONFLICT (key) DO UPDATE SET job = carrel_unique.job)sql";

const char* const kFindHolders = R"sql(
SELECT encode(u.key, 'hex'), u.job, u.enqueued_at,
       coalesce(u.state, j.state, h.state, 8), coalesce(j.queue, ''),
       coalesce(j.kind, ''), coalesce(j.priority, 0)
  FROM carrel_unique u
  LEFT JOIN carrel_jobs j ON j.id = u.job
  LEFT JOIN carrel_history h ON h.id = u.job
 WHERE u.key = ANY(ARRAY(SELECT decode(r.key, 'hex')
                           FROM json_to_recordset(:rows::json) AS r(key text))))sql";

const char* const kHoldKeys = R"sql(
UPDATE carrel_unique u
   SET job = r.job, enqueued_at = :now::bigint, until = r.until, state = NULL
  FROM json_to_recordset(:rows::json) AS r(key text, job bigint, until bigint)
 WHERE u.key = decode(r.key, 'hex')
   AND u.key = ANY(ARRAY(SELECT decode(a.key, 'hex')
                           FROM json_to_recordset(:rows::json) AS a(key text))))sql";

const char* const kLeaveKeys = R"sql(
WITH asked AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(id bigint, state smallint, now bigint)
), left_behind AS (
  UPDATE carrel_unique u
     SET state = asked.state
    FROM asked
   WHERE u.job = ANY(ARRAY(SELECT id FROM asked)) AND u.job = asked.id
     AND u.until > asked.now
)
DELETE FROM carrel_unique u
 USING asked
 WHERE u.job = ANY(ARRAY(SELECT id FROM asked)) AND u.job = asked.id
   AND u.until <= asked.now)sql";

const char* const kForgetKeys = R"sql(
DELETE FROM carrel_unique
 WHERE key = ANY(ARRAY(SELECT key
                         FROM carrel_unique
                        WHERE state IS NOT NULL AND until <= :now::bigint
                        LIMIT :most
                          FOR UPDATE SKIP LOCKED)))sql";

const char* const kReadKeys = R"sql(
SELECT job, encode(key, 'hex')
  FROM carrel_unique
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state IS NULL)sql";

const char* const kReplacePayloads = R"sql(
WITH asked AS MATERIALIZED (
  SELECT * FROM json_to_recordset(:rows::json) AS r(id bigint, payload text)
), payloads AS (
  DELETE FROM carrel_payloads WHERE job = ANY(ARRAY(SELECT id FROM asked))
), notes AS (
  UPDATE carrel_notes SET checkpoint = '' WHERE job = ANY(ARRAY(SELECT id FROM asked))
)
UPDATE carrel_jobs j
   SET payload = decode(asked.payload, 'hex')
  FROM asked
 WHERE j.id = ANY(ARRAY(SELECT id FROM asked)) AND j.id = asked.id)sql";

// One seek a lane, however many jobs are in it.
const char* const kLanes = R"sql(
WITH RECURSIVE lane AS (
  (SELECT queue, kind FROM carrel_jobs WHERE state = 2 ORDER BY queue, kind LIMIT 1)
  UNION ALL
  SELECT next.queue, next.kind
    FROM lane,
         LATERAL (SELECT j.queue, j.kind
                    FROM carrel_jobs j
                   WHERE j.state = 2 AND (j.queue, j.kind) > (lane.queue, lane.kind)
                   ORDER BY j.queue, j.kind
                   LIMIT 1) AS next
)
SELECT queue, kind
  FROM lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kBestOfLanes = R"sql(
SELECT lane.n, best.id, best.priority, best.run_at
  FROM json_to_recordset(:rows::json) AS lane(n int, queue text, kind text),
       LATERAL (SELECT id, priority, run_at
                  FROM carrel_jobs
                 WHERE state = 2 AND queue = lane.queue AND kind = lane.kind
                   AND (expires_at IS NULL OR expires_at > :now::bigint)
                 ORDER BY priority, run_at, id
                 LIMIT :most) AS best)sql";

// MATERIALIZED: otherwise the planner may look for more than LIMIT says, and lock it.
const char* const kClaimLanes = R"sql(
WITH best AS MATERIALIZED (
  SELECT one.id
    FROM json_to_recordset(:rows::json) AS lane(queue text, kind text, most int),
         LATERAL (SELECT id
                    FROM carrel_jobs
                   WHERE state = 2 AND queue = lane.queue AND kind = lane.kind
                     AND (expires_at IS NULL OR expires_at > :now::bigint)
                   ORDER BY priority, run_at, id
                   LIMIT lane.most
                     FOR UPDATE SKIP LOCKED) AS one
   WHERE lane.queue NOT IN (SELECT queue FROM carrel_paused)
)
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint
 WHERE id = ANY(ARRAY(SELECT id FROM best))
RETURNING id, fence, queue, kind, encode(payload, 'hex'), timeout_us, priority, run_at,
          attempt, max_attempts, crashes)sql";

const char* const kClaimIds = R"sql(
WITH asked AS MATERIALIZED (
  SELECT id
    FROM carrel_jobs
   WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
     AND state = :state
     AND (expires_at IS NULL OR expires_at > :now::bigint)
     AND queue NOT IN (SELECT queue FROM carrel_paused)
   ORDER BY id
     FOR UPDATE SKIP LOCKED
)
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint
 WHERE id = ANY(ARRAY(SELECT id FROM asked))
RETURNING id, fence, queue, kind, encode(payload, 'hex'), timeout_us, priority, run_at,
          attempt, max_attempts, crashes)sql";

const char* const kAnyLimits = "SELECT job FROM carrel_limits LIMIT 1";

const char* const kLimitKeys = R"sql(
SELECT job, limit_key
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kLockSlots = R"sql(
SELECT slot
  FROM carrel_limit_slots
 WHERE slot = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::smallint))
 ORDER BY slot
   FOR UPDATE)sql";

const char* const kTrySlots = R"sql(
SELECT slot
  FROM carrel_limit_slots
 WHERE slot = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::smallint))
 ORDER BY slot
   FOR UPDATE SKIP LOCKED)sql";

const char* const kLimitsNow = R"sql(
SELECT l.job, l.limit_key, l.running,
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs r ON r.id = o.job AND r.state = 3
         WHERE o.limit_key = l.limit_key AND o.state = 3)
  FROM carrel_limits l
  JOIN carrel_jobs j ON j.id = l.job AND j.state = 18
 WHERE l.job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND l.state = 2)sql";

const char* const kCountLine = R"sql(
SELECT line.n,
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs r ON r.id = o.job AND r.state = 3
         WHERE o.limit_key = line.limit_key AND o.state = 3),
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs a ON a.id = o.job AND a.state = 18
         WHERE o.limit_key = line.limit_key AND o.state = 2 AND o.lane = line.lane)
  FROM json_to_recordset(:rows::json) AS line(n int, limit_key text, lane text))sql";

const char* const kNextLine = R"sql(
SELECT line.n,
       coalesce((SELECT o.lane
                   FROM carrel_limits o
                  WHERE o.limit_key = line.limit_key AND o.state = 0
                    AND o.lane > line.lane
                  ORDER BY o.lane
                  LIMIT 1), '')
  FROM json_to_recordset(:rows::json) AS line(n int, limit_key text, lane text))sql";

const char* const kPendingOfLine = R"sql(
SELECT l.job, l.running
  FROM carrel_limits l
  JOIN carrel_jobs j ON j.id = l.job AND j.state = 0
 WHERE l.limit_key = :limit_key AND l.state = 0 AND l.lane = :lane
 ORDER BY l.run_at, l.job
 LIMIT :most)sql";

const char* const kAddLimits = R"sql(
INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)
SELECT job, limit_key, lane, run_at, running, state
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, limit_key text, lane text, run_at bigint, running bigint,
       state smallint))sql";

const char* const kSetLimits = R"sql(
UPDATE carrel_limits l
   SET state = r.state,
       run_at = coalesce(r.run_at, l.run_at)
  FROM json_to_recordset(:rows::json) AS r(job bigint, state smallint, run_at bigint)
 WHERE l.job = r.job)sql";

const char* const kFreeJobs = R"sql(
UPDATE carrel_jobs
   SET state = 18, wake_at = expires_at
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 0)sql";

const char* const kHoldJobs = R"sql(
UPDATE carrel_jobs
   SET state = 0, wake_at = coalesce(expires_at, 9223372036854775807)
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 18)sql";

const char* const kLimitedLanes = R"sql(
WITH RECURSIVE found AS (
  (SELECT lane FROM carrel_limits WHERE state = 2 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT (SELECT l.lane
            FROM carrel_limits l
           WHERE l.state = 2 AND l.lane > found.lane
           ORDER BY l.lane
           LIMIT 1)
    FROM found
   WHERE found.lane IS NOT NULL
)
SELECT lane
  FROM found
 WHERE lane IS NOT NULL
   AND split_part(lane, chr(31), 1) NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kBestOfLimited = R"sql(
SELECT job, run_at
  FROM carrel_limits
 WHERE state = 2 AND lane = :lane
 ORDER BY run_at, job
 LIMIT :most)sql";

const char* const kReadLimits = R"sql(
SELECT job, limit_key, running
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kLockJobs = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       NULL::bigint, claim_number, worker
  FROM carrel_jobs
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY id
   FOR UPDATE)sql";

const char* const kLockHistory = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       ended_at, claim_number, worker
  FROM carrel_history
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY id
   FOR UPDATE)sql";

const char* const kSaveJobs = R"sql(
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

const char* const kToHistory = R"sql(
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

const char* const kToJobs = R"sql(
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

const char* const kComplete = R"sql(
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

const char* const kCompleteAndForget = R"sql(
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

const char* const kKeepHistory = R"sql(
UPDATE carrel_history h
   SET wake_at = r.wake_at
  FROM json_to_recordset(:rows::json) AS r(id bigint, wake_at bigint)
 WHERE h.id = r.id)sql";

const char* const kAddAttempts = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, signal,
        wall_us, cpu_us, max_rss, stderr_tail, worker, started_at, ended_at)
SELECT job, fence, attempt, class, decode(message, 'hex'), code, native, exit_code,
       signal, wall_us, cpu_us, max_rss, decode(stderr_tail, 'hex'), worker, started_at,
       :now::bigint
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, fence bigint, attempt int, class smallint, message text, code smallint,
       native int, exit_code int, signal int, wall_us bigint, cpu_us bigint,
       max_rss bigint, stderr_tail text, worker text, started_at bigint))sql";

const char* const kTrimAttempts = R"sql(
DELETE FROM carrel_attempts
 WHERE job = :job
   AND fence <= (SELECT fence FROM carrel_attempts
                  WHERE job = :job ORDER BY fence DESC LIMIT 1 OFFSET :keep))sql";

const char* const kRenew = R"sql(
UPDATE carrel_jobs
   SET wake_at = :lease_end
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 3)sql";

const char* const kRunningOfWorker = R"sql(
SELECT id, fence
  FROM carrel_jobs
 WHERE state = 3 AND worker = :worker AND claim_number <= :settled)sql";

const char* const kReadNotes = R"sql(
SELECT job, fraction, encode(message, 'hex'), encode(checkpoint, 'hex'),
       encode(log, 'hex')
  FROM carrel_notes
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kSaveNotes = R"sql(
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

const char* const kReadPayloads = R"sql(
SELECT job, encode(bytes, 'hex')
  FROM carrel_payloads
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kDueJobs = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE wake_at <= :now::bigint
 ORDER BY wake_at
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kDueHistory = R"sql(
SELECT id
  FROM carrel_history
 WHERE state IN (5, 6, 7) AND wake_at <= :now::bigint
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kNextWake = R"sql(
SELECT now_us,
       least((SELECT min(wake_at) FROM carrel_jobs),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 5),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 6),
             (SELECT min(wake_at) FROM carrel_history WHERE state = 7),
             (SELECT min(until) FROM carrel_unique WHERE state IS NOT NULL))
  FROM carrel_clock)sql";

const char* const kOldestHistory = R"sql(
SELECT id, ended_at
  FROM carrel_history
 WHERE state = :state
 ORDER BY wake_at
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kPurge = R"sql(
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
)
DELETE FROM carrel_attempts WHERE job = ANY(ARRAY(SELECT id FROM gone)))sql";

const char* const kAddTally = R"sql(
INSERT INTO carrel_tally (queue, state, jobs)
SELECT queue, state, jobs
  FROM json_to_recordset(:rows::json) AS r(queue text, state smallint, jobs bigint))sql";

const char* const kFinalRows = R"sql(
SELECT coalesce(sum(jobs), 0)::bigint FROM carrel_tally)sql";

const char* const kReadTally = R"sql(
SELECT id, queue, state, jobs FROM carrel_tally ORDER BY id LIMIT 10000
   FOR UPDATE SKIP LOCKED)sql";

const char* const kDeleteTally = R"sql(
DELETE FROM carrel_tally
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kPause = R"sql(
INSERT INTO carrel_paused (queue) VALUES (:queue) ON CONFLICT DO NOTHING)sql";

const char* const kResume = "DELETE FROM carrel_paused WHERE queue = :queue";

const char* const kPaused = "SELECT queue FROM carrel_paused ORDER BY queue";

const char* const kNotFinal = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

const char* const kReadJobs = R"sql(
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
  LEFT JOIN carrel_notes n ON n.job = j.id
 ORDER BY j.id DESC)sql";

const char* const kReadAttempts = R"sql(
SELECT job, fence, attempt, class, encode(message, 'hex'), code, native, exit_code,
       signal, wall_us, cpu_us, max_rss, encode(stderr_tail, 'hex'), worker, started_at,
       ended_at
  FROM carrel_attempts
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
 ORDER BY job, fence)sql";

// :states is a mask, bit n for state n.
const char* const kList = R"sql(
(SELECT id
   FROM carrel_jobs
  WHERE id < :before
    AND (:states::int >> state) & 1 = 1
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history
  WHERE id < :before
    AND (:states::int >> state) & 1 = 1
    AND (:queue::text = '' OR queue = :queue)
    AND (:kind::text = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
 ORDER BY 1 DESC
 LIMIT :most)sql";

const char* const kCountAvailable = R"sql(
SELECT queue, kind, count(*), min(run_at)
  FROM carrel_jobs
 WHERE state = 2
 GROUP BY queue, kind
UNION ALL
SELECT split_part(lane, chr(31), 1), split_part(lane, chr(31), 2), count(*), min(run_at)
  FROM carrel_limits
 WHERE state = 2
 GROUP BY lane)sql";

const char* const kCountWaiting = R"sql(
SELECT queue, state, count(*)
  FROM carrel_jobs
 WHERE state IN (0, 1, 3, 4) AND wake_at IS NOT NULL
 GROUP BY queue, state)sql";

const char* const kCountFinal = R"sql(
SELECT queue, state, sum(jobs)::bigint
  FROM carrel_tally
 GROUP BY queue, state
HAVING sum(jobs) > 0)sql";

}  // namespace

const server::Statements kStatements = {
    .claim_requests = kClaimRequests,
    .find_requests = kFindRequests,
    .insert_jobs = kInsertJobs,
    .insert_payloads = kInsertPayloads,
    .lock_keys = kLockKeys,
    .find_holders = kFindHolders,
    .hold_keys = kHoldKeys,
    .leave_keys = {kLeaveKeys},
    .forget_keys = kForgetKeys,
    .read_keys = kReadKeys,
    .replace_payloads = {kReplacePayloads},
    .lanes = kLanes,
    .best_of_lane = nullptr,
    .best_of_lanes = kBestOfLanes,
    .claim_lanes = kClaimLanes,
    .claim_ids = kClaimIds,
    .pick_lane = nullptr,
    .pick_ids = nullptr,
    .mark = nullptr,
    .any_limits = kAnyLimits,
    .limit_keys = kLimitKeys,
    .lock_slots = kLockSlots,
    .try_slots = kTrySlots,
    .limits_now = kLimitsNow,
    .count_line = kCountLine,
    .next_line = kNextLine,
    .pending_of_line = kPendingOfLine,
    .add_limits = kAddLimits,
    .drop_limit = "DELETE FROM carrel_limits WHERE job = :id",
    .set_limits = kSetLimits,
    .free_jobs = kFreeJobs,
    .hold_jobs = kHoldJobs,
    .limited_lanes = kLimitedLanes,
    .best_of_limited = kBestOfLimited,
    .read_limits = kReadLimits,
    .lock_jobs = kLockJobs,
    .lock_history = kLockHistory,
    .save_jobs = kSaveJobs,
    .to_history = {kToHistory},
    .to_jobs = {kToJobs},
    .keep_history = kKeepHistory,
    .complete = kComplete,
    .complete_and_forget = kCompleteAndForget,
    .add_attempts = kAddAttempts,
    .trim_attempts = kTrimAttempts,
    .renew = kRenew,
    .running_of_worker = kRunningOfWorker,
    .read_notes = kReadNotes,
    .save_notes = kSaveNotes,
    .read_payloads = kReadPayloads,
    .due_jobs = kDueJobs,
    .due_history = kDueHistory,
    .next_wake = kNextWake,
    .oldest_history = kOldestHistory,
    .purge = {kPurge},
    .add_tally = kAddTally,
    .final_rows = kFinalRows,
    .read_tally = kReadTally,
    .delete_tally = kDeleteTally,
    .pause = kPause,
    .resume = kResume,
    .paused = kPaused,
    .not_final = kNotFinal,
    .read_jobs = kReadJobs,
    .read_attempts = kReadAttempts,
    .list = kList,
    .count_available = kCountAvailable,
    .count_waiting = kCountWaiting,
    .count_final = kCountFinal,
};

}  // namespace carrel::sql::postgresql
