#include "mariadb/statements.h"

namespace carrel::sql::mariadb {
namespace {

// STRAIGHT_JOIN and FORCE INDEX: the rows that are asked for come first, and each is
// sought by its key: another order, or a scan, which a small table gets otherwise, locks
// rows that nobody asked for. No comment within a statement:
// SOCI looks for parameters in those, too.

const char* const kClaimRequests = R"sql(
INSERT IGNORE INTO carrel_requests (request_id, job)
SELECT UNHEX(r.request_id), NEXTVAL(carrel_job_id)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         request_id LONGTEXT PATH '$.request_id')) AS r
RETURNING HEX(request_id), job)sql";

const char* const kFindRequests = R"sql(
SELECT STRAIGHT_JOIN HEX(q.request_id), q.job, COALESCE(j.state, 0), COALESCE(j.queue, ''),
       COALESCE(j.kind, ''), COALESCE(j.priority, 0)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         request_id LONGTEXT PATH '$.request_id')) AS r
  JOIN carrel_requests q ON q.request_id = UNHEX(r.request_id)
  LEFT JOIN carrel_jobs j ON j.id = q.job)sql";

const char* const kInsertJobs = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT COALESCE(r.id, NEXTVAL(carrel_job_id)), r.state, r.queue, r.kind, r.priority,
       r.max_attempts, r.wake_at, r.expires_at, :now, r.run_at, r.timeout_us,
       UNHEX(r.request_id), UNHEX(r.payload)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.queue',
         kind VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.kind',
         priority SMALLINT PATH '$.priority',
         max_attempts INT PATH '$.max_attempts',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at',
         timeout_us BIGINT PATH '$.timeout_us',
         request_id LONGTEXT PATH '$.request_id',
         payload LONGTEXT PATH '$.payload')) AS r
RETURNING id)sql";

const char* const kInsertPayloads = R"sql(
INSERT INTO carrel_payloads (job, bytes)
SELECT r.job, UNHEX(r.bytes)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         bytes LONGTEXT PATH '$.bytes')) AS r)sql";

const char* const kLockKeys = R"sql(
INSERT INTO carrel_unique (`key`, job, enqueued_at, until)
SELECT UNHEX(r.`key`), 0, 0, 0
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (`key` LONGTEXT PATH '$.key')) AS r
    ON DUPLICATE KEY UPDATE job = carrel_unique.job)sql";

const char* const kFindHolders = R"sql(
SELECT STRAIGHT_JOIN HEX(u.`key`), u.job, u.enqueued_at,
       COALESCE(u.state, j.state, h.state, 8), COALESCE(j.queue, ''),
       COALESCE(j.kind, ''), COALESCE(j.priority, 0)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (`key` LONGTEXT PATH '$.key')) AS r
  JOIN carrel_unique AS u ON u.`key` = UNHEX(r.`key`)
  LEFT JOIN carrel_jobs AS j ON j.id = u.job
  LEFT JOIN carrel_history AS h ON h.id = u.job)sql";

const char* const kHoldKeys = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         `key` LONGTEXT PATH '$.key',
         job BIGINT PATH '$.job',
         until BIGINT PATH '$.until')) AS r
  STRAIGHT_JOIN carrel_unique AS u ON u.`key` = UNHEX(r.`key`)
   SET u.job = r.job, u.enqueued_at = :now, u.until = r.until, u.state = NULL)sql";

const char* const kLeaveKeys = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         now BIGINT PATH '$.now')) AS r
  STRAIGHT_JOIN carrel_unique AS u ON u.job = r.id
   SET u.state = r.state
 WHERE u.until > r.now)sql";

const char* const kFreeKeys = R"sql(
DELETE u
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         now BIGINT PATH '$.now')) AS r
  STRAIGHT_JOIN carrel_unique AS u ON u.job = r.id
 WHERE u.until <= r.now)sql";

const char* const kForgetKeys = R"sql(
DELETE FROM carrel_unique
 WHERE state IN (5, 6, 7) AND until <= :now
 LIMIT :most)sql";

const char* const kReadKeys = R"sql(
SELECT STRAIGHT_JOIN u.job, HEX(u.`key`)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_unique AS u ON u.job = r.id
 WHERE u.state IS NULL)sql";

const char* const kReplacePayloads = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         payload LONGTEXT PATH '$.payload')) AS r
  STRAIGHT_JOIN carrel_jobs AS j ON j.id = r.id
   SET j.payload = UNHEX(r.payload))sql";

const char* const kDropPayloads = R"sql(
DELETE p
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_payloads AS p ON p.job = r.id)sql";

const char* const kForgetCheckpoints = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_notes AS n ON n.job = r.id
   SET n.checkpoint = '')sql";

const char* const kLanes = R"sql(
SELECT queue, kind
  FROM (SELECT queue, kind FROM carrel_jobs WHERE state = 2 GROUP BY queue, kind) AS lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kBestOfLane = R"sql(
SELECT id, priority, run_at
  FROM carrel_jobs
 WHERE state = 2 AND queue = :queue AND kind = :kind
   AND (expires_at IS NULL OR expires_at > :now)
 ORDER BY priority, run_at, id
 LIMIT :most)sql";

const char* const kPickLane = R"sql(
SELECT j.id, j.fence + 1, j.queue, j.kind, HEX(j.payload), j.timeout_us, j.priority, j.run_at,
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes
  FROM carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
 WHERE j.state = 2 AND j.queue = :queue AND j.kind = :kind
   AND (j.expires_at IS NULL OR j.expires_at > :now)
   AND NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kPickIds = R"sql(
SELECT STRAIGHT_JOIN j.id, j.fence + 1, j.queue, j.kind, HEX(j.payload), j.timeout_us, j.priority, j.run_at,
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
 WHERE j.state = :state
   AND (j.expires_at IS NULL OR j.expires_at > :now)
   AND j.queue NOT IN (SELECT queue FROM carrel_paused)
   FOR UPDATE SKIP LOCKED)sql";

const char* const kMark = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 3,
       j.fence = j.fence + 1,
       j.attempt = LEAST(j.attempt + 1, 65535),
       j.wake_at = :lease_end,
       j.claim_number = :claim_number,
       j.worker = :worker,
       j.started_at = :now)sql";

const char* const kAnyLimits = "SELECT job FROM carrel_limits LIMIT 1";

const char* const kLimitKeys = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id)sql";

const char* const kLockSlots = R"sql(
SELECT STRAIGHT_JOIN s.slot
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limit_slots AS s FORCE INDEX (PRIMARY) ON s.slot = r.id
   FOR UPDATE)sql";

const char* const kTrySlots = R"sql(
SELECT STRAIGHT_JOIN s.slot
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limit_slots AS s FORCE INDEX (PRIMARY) ON s.slot = r.id
   FOR UPDATE SKIP LOCKED)sql";

const char* const kLimitsNow = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running,
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 3
         WHERE o.limit_key = l.limit_key AND o.state = 3)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id AND l.state = 2
  JOIN carrel_jobs AS j ON j.id = r.id AND j.state = 18)sql";

const char* const kCountLine = R"sql(
SELECT line.n,
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 3
         WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 3),
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 18
         WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 2
           AND o.lane = CAST(line.lane AS BINARY))
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane')) AS line)sql";

const char* const kNextLine = R"sql(
SELECT line.n,
       COALESCE((SELECT o.lane
                   FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
                  WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 0
                    AND o.lane > CAST(line.lane AS BINARY)
                  ORDER BY o.lane
                  LIMIT 1), '')
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane')) AS line)sql";

const char* const kPendingOfLine = R"sql(
SELECT STRAIGHT_JOIN l.job, l.running
  FROM carrel_limits AS l FORCE INDEX (carrel_limits_line)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = l.job AND j.state = 0
 WHERE l.limit_key = :limit_key AND l.state = 0 AND l.lane = :lane
 ORDER BY l.run_at, l.job
 LIMIT :most)sql";

const char* const kAddLimits = R"sql(
INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)
SELECT r.job, r.limit_key, r.lane, r.run_at, r.running, r.state
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane',
         run_at BIGINT PATH '$.run_at',
         running BIGINT PATH '$.running',
         state SMALLINT PATH '$.state')) AS r)sql";

const char* const kSetLimits = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         state SMALLINT PATH '$.state',
         run_at BIGINT PATH '$.run_at')) AS r
  STRAIGHT_JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = r.job
   SET l.state = r.state,
       l.run_at = COALESCE(r.run_at, l.run_at))sql";

const char* const kFreeJobs = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 18,
       j.wake_at = j.expires_at
 WHERE j.state = 0)sql";

const char* const kHoldJobs = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 0,
       j.wake_at = COALESCE(j.expires_at, 9223372036854775807)
 WHERE j.state = 18)sql";

const char* const kLimitedLanes = R"sql(
SELECT lane
  FROM (SELECT lane FROM carrel_limits WHERE state = 2 GROUP BY lane) AS found
 WHERE SUBSTRING_INDEX(lane, CHAR(31), 1) NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kBestOfLimited = R"sql(
SELECT job, run_at
  FROM carrel_limits
 WHERE state = 2 AND lane = :lane
 ORDER BY run_at, job
 LIMIT :most)sql";

const char* const kReadLimits = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id)sql";

const char* const kLockJobs = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.cancel_requested, j.attempt,
       j.max_attempts, j.crashes, j.fence, j.finished_fence, j.wake_at, j.expires_at,
       j.run_at, j.started_at, NULL, j.claim_number, j.worker
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   FOR UPDATE)sql";

const char* const kLockHistory = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.cancel_requested, j.attempt,
       j.max_attempts, j.crashes, j.fence, j.finished_fence, j.wake_at, j.expires_at,
       j.run_at, j.started_at, j.ended_at, j.claim_number, j.worker
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   FOR UPDATE)sql";

const char* const kSaveJobs = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         cancel_requested SMALLINT PATH '$.cancel_requested',
         attempt INT PATH '$.attempt',
         max_attempts INT PATH '$.max_attempts',
         crashes INT PATH '$.crashes',
         finished_fence BIGINT PATH '$.finished_fence',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = r.state,
       j.cancel_requested = r.cancel_requested,
       j.attempt = r.attempt,
       j.max_attempts = r.max_attempts,
       j.crashes = r.crashes,
       j.finished_fence = r.finished_fence,
       j.wake_at = r.wake_at,
       j.expires_at = r.expires_at,
       j.run_at = r.run_at)sql";

const char* const kToHistory = R"sql(
INSERT INTO carrel_history
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, ended_at, timeout_us, claim_number, worker, request_id, payload,
        result)
SELECT STRAIGHT_JOIN j.id, r.state, j.queue, j.kind, j.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, j.fence, r.finished_fence,
       r.wake_at, r.expires_at, j.enqueued_at, r.run_at, j.started_at, r.ended_at,
       j.timeout_us, j.claim_number, j.worker, j.request_id, j.payload, UNHEX(r.result)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         cancel_requested SMALLINT PATH '$.cancel_requested',
         attempt INT PATH '$.attempt',
         max_attempts INT PATH '$.max_attempts',
         crashes INT PATH '$.crashes',
         finished_fence BIGINT PATH '$.finished_fence',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at',
         ended_at BIGINT PATH '$.ended_at',
         result LONGTEXT PATH '$.result')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

const char* const kLeaveJobs = R"sql(
DELETE j
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

const char* const kToJobs = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, timeout_us, claim_number, worker, request_id, payload)
SELECT STRAIGHT_JOIN j.id, r.state, j.queue, j.kind, j.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, j.fence, r.finished_fence,
       r.wake_at, r.expires_at, j.enqueued_at, r.run_at, j.started_at, j.timeout_us,
       j.claim_number, j.worker, j.request_id, j.payload
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         cancel_requested SMALLINT PATH '$.cancel_requested',
         attempt INT PATH '$.attempt',
         max_attempts INT PATH '$.max_attempts',
         crashes INT PATH '$.crashes',
         finished_fence BIGINT PATH '$.finished_fence',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at')) AS r
  JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

const char* const kLeaveHistory = R"sql(
DELETE j
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

const char* const kKeepHistory = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         wake_at BIGINT PATH '$.wake_at')) AS r
  STRAIGHT_JOIN carrel_history AS j ON j.id = r.id
   SET j.wake_at = r.wake_at)sql";

const char* const kAddAttempts = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, `signal`,
        wall_us, cpu_us, max_rss, stderr_tail, worker, started_at, ended_at)
SELECT r.job, r.fence, r.attempt, r.class, UNHEX(r.message), r.code, r.native,
       r.exit_code, r.`signal`, r.wall_us, r.cpu_us, r.max_rss, UNHEX(r.stderr_tail),
       r.worker, r.started_at, :now
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         fence BIGINT PATH '$.fence',
         attempt INT PATH '$.attempt',
         class SMALLINT PATH '$.class',
         message LONGTEXT PATH '$.message',
         code SMALLINT PATH '$.code',
         native INT PATH '$.native',
         exit_code INT PATH '$.exit_code',
         `signal` INT PATH '$.signal',
         wall_us BIGINT PATH '$.wall_us',
         cpu_us BIGINT PATH '$.cpu_us',
         max_rss BIGINT PATH '$.max_rss',
         stderr_tail LONGTEXT PATH '$.stderr_tail',
         worker VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.worker',
         started_at BIGINT PATH '$.started_at')) AS r)sql";

const char* const kTrimAttempts = R"sql(
DELETE FROM carrel_attempts
 WHERE job = :job
   AND fence <= (SELECT fence
                   FROM (SELECT fence FROM carrel_attempts
                          WHERE job = :job ORDER BY fence DESC LIMIT 1 OFFSET :keep)
                     AS newest))sql";

const char* const kRenew = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.wake_at = :lease_end
 WHERE j.state = 3)sql";

const char* const kRunningOfWorker = R"sql(
SELECT id, fence
  FROM carrel_jobs
 WHERE state = 3 AND worker = :worker AND claim_number <= :settled)sql";

const char* const kReadNotes = R"sql(
SELECT STRAIGHT_JOIN n.job, n.fraction, HEX(n.message), HEX(n.checkpoint), HEX(n.log)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_notes AS n ON n.job = r.id)sql";

const char* const kSaveNotes = R"sql(
INSERT INTO carrel_notes (job, fraction, message, checkpoint, log)
SELECT r.job, r.fraction, UNHEX(r.message), UNHEX(r.checkpoint), UNHEX(r.log)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         fraction DOUBLE PATH '$.fraction',
         message LONGTEXT PATH '$.message',
         checkpoint LONGTEXT PATH '$.checkpoint',
         log LONGTEXT PATH '$.log')) AS r
    ON DUPLICATE KEY UPDATE
       fraction = VALUES(fraction),
       message = VALUES(message),
       checkpoint = VALUES(checkpoint),
       log = VALUES(log))sql";

const char* const kReadPayloads = R"sql(
SELECT STRAIGHT_JOIN p.job, HEX(p.bytes)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_payloads AS p ON p.job = r.id)sql";

const char* const kDueJobs = R"sql(
SELECT id
  FROM carrel_jobs FORCE INDEX (carrel_jobs_wake)
 WHERE wake_at <= :now
 ORDER BY wake_at
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kDueHistory = R"sql(
SELECT id
  FROM carrel_history FORCE INDEX (carrel_history_wake)
 WHERE state IN (5, 6, 7) AND wake_at <= :now
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kNextWake = R"sql(
SELECT now_us,
       (SELECT MIN(wake_at)
          FROM (SELECT MIN(wake_at) AS wake_at FROM carrel_jobs
                UNION ALL
                SELECT MIN(wake_at) FROM carrel_history WHERE state = 5
                UNION ALL
                SELECT MIN(wake_at) FROM carrel_history WHERE state = 6
                UNION ALL
                SELECT MIN(wake_at) FROM carrel_history WHERE state = 7
                UNION ALL
                SELECT MIN(until) FROM carrel_unique WHERE state = 5
                UNION ALL
                SELECT MIN(until) FROM carrel_unique WHERE state = 6
                UNION ALL
                SELECT MIN(until) FROM carrel_unique WHERE state = 7) AS of_each)
  FROM carrel_clock)sql";

const char* const kOldestHistory = R"sql(
SELECT id, ended_at
  FROM carrel_history
 WHERE state = :state
 ORDER BY wake_at
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const char* const kPurgeJobs = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

const char* const kPurgeHistory = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_history AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

const char* const kPurgeRequests = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_requests AS t FORCE INDEX (job) ON t.job = r.id)sql";

const char* const kPurgePayloads = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_payloads AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

const char* const kPurgeNotes = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_notes AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

const char* const kPurgeAttempts = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_attempts AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

const char* const kPurgeLimits = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_limits AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

const char* const kAddTally = R"sql(
INSERT INTO carrel_tally (queue, state, jobs)
SELECT r.queue, r.state, r.jobs
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.queue',
         state SMALLINT PATH '$.state',
         jobs BIGINT PATH '$.jobs')) AS r)sql";

const char* const kFinalRows = R"sql(
SELECT CAST(COALESCE(SUM(jobs), 0) AS SIGNED) FROM carrel_tally)sql";

const char* const kReadTally = R"sql(
SELECT id, queue, state, jobs
  FROM carrel_tally
 ORDER BY id
 LIMIT 10000
   FOR UPDATE SKIP LOCKED)sql";

const char* const kDeleteTally = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_tally AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

const char* const kPause = R"sql(
INSERT IGNORE INTO carrel_paused (queue) VALUES (:queue))sql";

const char* const kResume = R"sql(
DELETE FROM carrel_paused WHERE queue = :queue)sql";

const char* const kPaused = R"sql(
SELECT queue FROM carrel_paused ORDER BY queue)sql";

const char* const kNotFinal = R"sql(
SELECT STRAIGHT_JOIN j.id
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j ON j.id = r.id)sql";

const char* const kReadJobs = R"sql(
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
  LEFT JOIN carrel_notes AS n ON n.job = j.id
 ORDER BY 1 DESC)sql";

const char* const kReadAttempts = R"sql(
SELECT STRAIGHT_JOIN a.job, a.fence, a.attempt, a.class, HEX(a.message), a.code, a.native,
       a.exit_code, a.`signal`, a.wall_us, a.cpu_us, a.max_rss, HEX(a.stderr_tail),
       a.worker, a.started_at, a.ended_at
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_attempts AS a ON a.job = r.id
 ORDER BY a.job, a.fence)sql";

const char* const kList = R"sql(
(SELECT id
   FROM carrel_jobs
  WHERE id < :before
    AND (:states >> state) & 1
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
UNION ALL
(SELECT id
   FROM carrel_history
  WHERE id < :before
    AND (:states >> state) & 1
    AND (:queue = '' OR queue = :queue)
    AND (:kind = '' OR kind = :kind)
    AND enqueued_at <= :enqueued_before
  ORDER BY id DESC
  LIMIT :most)
 ORDER BY 1 DESC
 LIMIT :most)sql";

const char* const kCountAvailable = R"sql(
SELECT queue, kind, COUNT(*), MIN(run_at)
  FROM carrel_jobs
 WHERE state IN (2, 18)
 GROUP BY queue, kind)sql";

const char* const kCountWaiting = R"sql(
SELECT queue, state, COUNT(*)
  FROM carrel_jobs
 WHERE state IN (0, 1, 3, 4)
 GROUP BY queue, state)sql";

const char* const kCountFinal = R"sql(
SELECT queue, state, CAST(SUM(jobs) AS SIGNED)
  FROM carrel_tally
 GROUP BY queue, state
HAVING SUM(jobs) > 0)sql";

}  // namespace

const server::Statements kStatements = {
    .claim_requests = kClaimRequests,
    .find_requests = kFindRequests,
    .insert_jobs = kInsertJobs,
    .insert_payloads = kInsertPayloads,
    .lock_keys = kLockKeys,
    .find_holders = kFindHolders,
    .hold_keys = kHoldKeys,
    .leave_keys = {kLeaveKeys, kFreeKeys},
    .forget_keys = kForgetKeys,
    .read_keys = kReadKeys,
    .replace_payloads = {kReplacePayloads, kDropPayloads, kForgetCheckpoints},
    .lanes = kLanes,
    .best_of_lane = kBestOfLane,
    .best_of_lanes = nullptr,
    .claim_lanes = nullptr,
    .claim_ids = nullptr,
    .pick_lane = kPickLane,
    .pick_ids = kPickIds,
    .mark = kMark,
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
    .to_history = {kToHistory, kLeaveJobs},
    .to_jobs = {kToJobs, kLeaveHistory},
    .keep_history = kKeepHistory,
    .complete = nullptr,
    .complete_and_forget = nullptr,
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
    .purge = {kPurgeJobs, kPurgeHistory, kPurgeRequests, kPurgePayloads, kPurgeNotes,
              kPurgeAttempts, kPurgeLimits},
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

}  // namespace carrel::sql::mariadb
