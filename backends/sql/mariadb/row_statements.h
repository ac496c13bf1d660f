// Rows on their way: locked, saved, completed, renewed, purged, and the tally of those
// that ended. Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::mariadb {

inline constexpr const char* kLockJobs = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.cancel_requested, j.attempt,
       j.max_attempts, j.crashes, j.fence, j.finished_fence, j.wake_at, j.expires_at,
       j.run_at, j.started_at, NULL, j.claim_number, j.worker
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   FOR UPDATE)sql";

// At READ COMMITTED what does not match is let go as the next row is sought.
inline constexpr const char* kLockRuns = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.cancel_requested, j.attempt,
       j.max_attempts, j.crashes, j.fence, j.finished_fence, j.wake_at, j.expires_at,
       j.run_at, j.started_at, NULL, j.claim_number, j.worker
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         fence BIGINT PATH '$.fence')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
 WHERE r.fence IN (j.fence, j.finished_fence)
   FOR UPDATE)sql";

inline const std::string kTryJobs = std::string(kLockJobs) + " SKIP LOCKED";
inline const std::string kTryRuns = std::string(kLockRuns) + " SKIP LOCKED";

inline constexpr const char* kLockHistory = R"sql(
SELECT STRAIGHT_JOIN j.id, j.state, j.queue, j.kind, j.priority, j.cancel_requested, j.attempt,
       j.max_attempts, j.crashes, j.fence, j.finished_fence, j.wake_at, j.expires_at,
       j.run_at, j.started_at, j.ended_at, j.claim_number, j.worker
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   FOR UPDATE)sql";

inline const std::string kTryHistory = std::string(kLockHistory) + " SKIP LOCKED";
inline const std::string kLockRunsNow = std::string(kLockRuns) + " NOWAIT";
inline const std::string kLockHistoryNow = std::string(kLockHistory) + " NOWAIT";

inline constexpr const char* kSaveJobs = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$[0]',
         state SMALLINT PATH '$[1]',
         cancel_requested SMALLINT PATH '$[2]',
         attempt INT PATH '$[3]',
         max_attempts INT PATH '$[4]',
         crashes INT PATH '$[5]',
         finished_fence BIGINT PATH '$[6]',
         wake_at BIGINT PATH '$[7]',
         expires_at BIGINT PATH '$[8]',
         run_at BIGINT PATH '$[9]')) AS r
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

inline constexpr const char* kToHistory = R"sql(
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
         id BIGINT PATH '$[0]',
         state SMALLINT PATH '$[1]',
         cancel_requested SMALLINT PATH '$[2]',
         attempt INT PATH '$[3]',
         max_attempts INT PATH '$[4]',
         crashes INT PATH '$[5]',
         finished_fence BIGINT PATH '$[6]',
         wake_at BIGINT PATH '$[7]',
         expires_at BIGINT PATH '$[8]',
         run_at BIGINT PATH '$[9]',
         ended_at BIGINT PATH '$[10]',
         result LONGTEXT PATH '$[11]')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

inline constexpr const char* kLeaveJobs = R"sql(
DELETE j
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$[0]')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

inline constexpr const char* kToJobs = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, timeout_us, claim_number, worker, request_id, payload)
SELECT STRAIGHT_JOIN j.id, r.state, j.queue, j.kind, j.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, j.fence, r.finished_fence,
       r.wake_at, r.expires_at, j.enqueued_at, r.run_at, j.started_at, j.timeout_us,
       j.claim_number, j.worker, j.request_id, j.payload
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$[0]',
         state SMALLINT PATH '$[1]',
         cancel_requested SMALLINT PATH '$[2]',
         attempt INT PATH '$[3]',
         max_attempts INT PATH '$[4]',
         crashes INT PATH '$[5]',
         finished_fence BIGINT PATH '$[6]',
         wake_at BIGINT PATH '$[7]',
         expires_at BIGINT PATH '$[8]',
         run_at BIGINT PATH '$[9]')) AS r
  JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

inline constexpr const char* kLeaveHistory = R"sql(
DELETE j
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$[0]')) AS r
  STRAIGHT_JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql";

inline constexpr const char* kKeepHistory = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         wake_at BIGINT PATH '$.wake_at')) AS r
  STRAIGHT_JOIN carrel_history AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.wake_at = r.wake_at)sql";

inline constexpr const char* kAddAttempts = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, `signal`,
        wall_us, cpu_us, max_rss, stderr_tail, ending, worker, started_at, ended_at)
SELECT r.job, r.fence, r.attempt, r.class, UNHEX(r.message), r.code, r.native,
       r.exit_code, r.`signal`, r.wall_us, r.cpu_us, r.max_rss, UNHEX(r.stderr_tail),
       UNHEX(r.ending), r.worker, r.started_at, :now
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$[0]',
         fence BIGINT PATH '$[1]',
         attempt INT PATH '$[2]',
         class SMALLINT PATH '$[3]',
         message LONGTEXT PATH '$[4]',
         code SMALLINT PATH '$[5]',
         native INT PATH '$[6]',
         exit_code INT PATH '$[7]',
         `signal` INT PATH '$[8]',
         wall_us BIGINT PATH '$[9]',
         cpu_us BIGINT PATH '$[10]',
         max_rss BIGINT PATH '$[11]',
         stderr_tail LONGTEXT PATH '$[12]',
         ending LONGTEXT PATH '$[13]',
         worker VARCHAR(512) CHARACTER SET utf8mb4 PATH '$[14]',
         started_at BIGINT PATH '$[15]')) AS r)sql";

inline constexpr const char* kTrimAttempts = R"sql(
DELETE FROM carrel_attempts
 WHERE job = :job
   AND fence <= (SELECT fence
                   FROM (SELECT fence FROM carrel_attempts
                          WHERE job = :job ORDER BY fence DESC LIMIT 1 OFFSET :keep)
                     AS newest))sql";

inline constexpr const char* kRenew = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.wake_at = :lease_end
 WHERE j.state = 3)sql";

inline constexpr const char* kRunningOfWorker = R"sql(
SELECT id, fence
  FROM carrel_jobs
 WHERE state = 3 AND worker = :worker AND claim_number <= :settled)sql";

inline constexpr const char* kReadNotes = R"sql(
SELECT STRAIGHT_JOIN n.job, n.fraction, HEX(n.message), HEX(n.checkpoint), HEX(n.log)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_notes AS n ON n.job = r.id)sql";

inline constexpr const char* kSaveNotes = R"sql(
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

// To say how long something is, MariaDB reads it: here from one to the next, and none
// behind the one that passes :most. By its LIMIT `asked` is made once, and has a key; a
// recursion is cut off after a thousand rounds. It begins with the first id for the
// column's type.
inline std::string read_long(const std::string& table, const std::string& bytes) {
  return R"sql(
WITH RECURSIVE asked AS (
  SELECT n, id
    FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id BIGINT PATH '$')) AS r
   LIMIT 1000
), walk AS (
  SELECT 0 AS n, id AS job, 0 AS so_far FROM asked WHERE n = 1
  UNION ALL
  SELECT STRAIGHT_JOIN a.n, a.id, w.so_far + COALESCE(OCTET_LENGTH(s.)sql" +
         bytes + R"sql(), 0)
    FROM walk AS w
    JOIN asked AS a ON a.n = w.n + 1
    LEFT JOIN )sql" +
         table + R"sql( AS s ON s.job = a.id
   WHERE w.so_far < :most
)
SELECT STRAIGHT_JOIN t.job, HEX(t.)sql" +
         bytes + R"sql()
  FROM walk AS w
  JOIN )sql" +
         table + R"sql( AS t ON t.job = w.job
 WHERE w.n > 0
 ORDER BY t.job)sql";
}

inline const std::string kReadPayloads = read_long("carrel_payloads", "bytes");
inline const std::string kReadCheckpoints = read_long("carrel_notes", "checkpoint");

// Does not lock: a range that is locked has its next row locked, too, which here is that
// of the lease that ends first, and could not be renewed meanwhile.
inline constexpr const char* kDueJobs = R"sql(
SELECT id
  FROM carrel_jobs FORCE INDEX (carrel_jobs_wake)
 WHERE wake_at <= :now
 ORDER BY wake_at
 LIMIT :most OFFSET :passed)sql";

// Nor does this: those rows are what is purged next, and may be retried till then.
inline constexpr const char* kDueHistory = R"sql(
SELECT id
  FROM carrel_history FORCE INDEX (carrel_history_wake)
 WHERE state IN (5, 6, 7) AND wake_at <= :now
 LIMIT :most OFFSET :passed)sql";

inline constexpr const char* kNextWake = R"sql(
SELECT now_us,
       (SELECT MIN(wake_at)
          FROM (SELECT MIN(wake_at) AS wake_at FROM carrel_jobs
                UNION ALL
                SELECT MIN(wake_at) FROM carrel_rate_keys
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

inline constexpr const char* kOldestHistory = R"sql(
SELECT id, ended_at
  FROM carrel_history
 WHERE state = :state
 ORDER BY wake_at
 LIMIT :most)sql";

inline constexpr const char* kPurgeJobs = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

inline constexpr const char* kPurgeHistory = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_history AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

inline constexpr const char* kPurgeRequests = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_requests AS t FORCE INDEX (job) ON t.job = r.id)sql";

inline constexpr const char* kPurgePayloads = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_payloads AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

inline constexpr const char* kPurgeNotes = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_notes AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

inline constexpr const char* kPurgeAttempts = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_attempts AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

inline constexpr const char* kPurgeLimits = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_limits AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

inline constexpr const char* kPurgeRates = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_rates AS t FORCE INDEX (PRIMARY) ON t.job = r.id)sql";

inline constexpr const char* kAddTally = R"sql(
INSERT INTO carrel_tally (queue, state, jobs)
SELECT r.queue, r.state, r.jobs
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.queue',
         state SMALLINT PATH '$.state',
         jobs BIGINT PATH '$.jobs')) AS r)sql";

inline constexpr const char* kFinalRows = R"sql(
SELECT CAST(COALESCE(SUM(jobs), 0) AS SIGNED) FROM carrel_tally)sql";

inline constexpr const char* kReadTally = R"sql(
SELECT id, queue, state, jobs
  FROM carrel_tally
 ORDER BY id
 LIMIT 10000
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kDeleteTally = R"sql(
DELETE t
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_tally AS t FORCE INDEX (PRIMARY) ON t.id = r.id)sql";

}  // namespace carrel::sql::mariadb
