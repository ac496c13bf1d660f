#include "mariadb/statements.h"

#include "mariadb/limit_statements.h"
#include "mariadb/monitor_statements.h"
#include "mariadb/rate_statements.h"
#include "mariadb/row_statements.h"
#include "mariadb/snapshot_statements.h"
#include "mariadb/unique_statements.h"

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
       (id, state, limited, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT COALESCE(r.id, NEXTVAL(carrel_job_id)), r.state & 31, r.state >> 5, r.queue,
       r.kind, r.priority, r.max_attempts, r.wake_at + begun.at, r.expires_at + begun.at, :now + begun.at,
       r.run_at + begun.at, r.timeout_us,
       UNHEX(r.request_id), UNHEX(r.payload)
  FROM (SELECT IF(:now = 0, (SELECT now_us FROM carrel_clock), 0) AS at) AS begun
  STRAIGHT_JOIN JSON_TABLE(:rows, '$[*]' COLUMNS (
         state SMALLINT PATH '$[1]',
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$[2]',
         kind VARCHAR(512) CHARACTER SET utf8mb4 PATH '$[3]',
         priority SMALLINT PATH '$[4]',
         max_attempts INT PATH '$[5]',
         wake_at BIGINT PATH '$[6]',
         expires_at BIGINT PATH '$[7]',
         run_at BIGINT PATH '$[8]',
         timeout_us BIGINT PATH '$[9]',
         payload LONGTEXT PATH '$[10]',
         id BIGINT PATH '$[11]',
         request_id LONGTEXT PATH '$[12]')) AS r
RETURNING id)sql";

const char* const kInsertAlike = R"sql(
INSERT INTO carrel_jobs
       (id, state, limited, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT NEXTVAL(carrel_job_id), :state & 31, :state >> 5, :queue, :kind, :priority,
       :max_attempts,
       :wake_at + begun.at, :expires_at + begun.at, :now + begun.at, :run_at + begun.at,
       :timeout, UNHEX(r.payload)
  FROM (SELECT IF(:now = 0, (SELECT now_us FROM carrel_clock), 0) AS at) AS begun
  STRAIGHT_JOIN JSON_TABLE(:rows, '$[*]' COLUMNS (
         payload LONGTEXT PATH '$[1]')) AS r
RETURNING id)sql";

// What one job takes, parsed once a session: that is a quarter of its time on a server
// that has nothing else to do.
const char* const kPrepare = R"sql(
PREPARE carrel_insert FROM '
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT NEXTVAL(carrel_job_id), ?, ?, ?, ?, ?, ? + now_us, ? + now_us, now_us,
       ? + now_us, ?, UNHEX(?)
  FROM carrel_clock
RETURNING id';
PREPARE carrel_pick FROM '
SELECT j.id, j.fence + 1, j.queue, j.kind, HEX(j.payload), j.timeout_us, j.priority, j.run_at,
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes, j.limited,
       begun.now_us
  FROM carrel_clock AS begun
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
 WHERE j.state = 2 AND j.queue = ? AND j.kind = ?
   AND (j.expires_at IS NULL OR j.expires_at > begun.now_us)
   AND NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = ?)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT ?
   FOR UPDATE SKIP LOCKED';
PREPARE carrel_mark FROM '
UPDATE carrel_jobs FORCE INDEX (PRIMARY)
   SET state = 3,
       fence = fence + 1,
       attempt = LEAST(attempt + 1, 65535),
       wake_at = ?,
       claim_number = ?,
       worker = ?,
       started_at = ?
 WHERE id = ?')sql";

const char* const kInsertJob = R"sql(
EXECUTE carrel_insert USING :state, :queue, :kind, :priority, :max_attempts, :wake_at,
                            :expires_at, :run_at, :timeout, :payload)sql";

// Where jobs are available in very many lanes, whoever they are for, it does not look
// through all of them.
const char* const kStartJob = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at, enqueued_at,
        run_at, timeout_us, payload, fence, attempt, claim_number, worker, started_at)
SELECT NEXTVAL(carrel_job_id), IF(starts, 3, 2), :queue, :kind, :priority, :max_attempts,
       IF(starts, :lease_end, :wake_at) + now_us, :expires_at + now_us, now_us, now_us,
       :timeout, UNHEX(:payload), starts, starts, IF(starts, :claim_number, 0),
       IF(starts, :worker, ''), IF(starts, now_us, NULL)
  FROM (SELECT now_us,
               NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
               AND NOT EXISTS (SELECT 1 FROM carrel_jobs WHERE state = 18)
               AND (SELECT COUNT(*)
                      FROM (SELECT 1
                              FROM carrel_jobs
                             WHERE state = 2
                             GROUP BY state, queue, kind
                             LIMIT 65) AS lanes) < 65
               AND NOT EXISTS (
                 SELECT 1
                   FROM (SELECT queue, kind
                           FROM carrel_jobs
                          WHERE state = 2
                          GROUP BY state, queue, kind
                          LIMIT 65) AS lane
                   JOIN JSON_TABLE(:kinds, '$[*]' COLUMNS (
                          name VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.name')) AS k
                     ON k.name = lane.kind
                   LEFT JOIN JSON_TABLE(:queues, '$[*]' COLUMNS (
                          name VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.name')) AS q
                     ON q.name = lane.queue
                  WHERE (:queues = '[]' OR q.name IS NOT NULL)
                    AND lane.queue NOT IN (SELECT queue FROM carrel_paused)) AS starts
          FROM carrel_clock) AS begun
RETURNING id, state, 0)sql";

const char* const kInsertPayloads = R"sql(
INSERT INTO carrel_payloads (job, bytes)
SELECT r.job, UNHEX(r.bytes)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         bytes LONGTEXT PATH '$.bytes')) AS r)sql";

// By `state` too, though it is one: so the index is skipped through from lane to lane,
// and what waits is not read.
const char* const kLanes = R"sql(
SELECT queue, kind
  FROM (SELECT queue, kind FROM carrel_jobs WHERE state = 2 GROUP BY state, queue, kind) AS lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kAllLanes = R"sql(
SELECT queue, kind
  FROM (SELECT queue, kind FROM carrel_jobs WHERE state = 2 GROUP BY state, queue, kind) AS lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused)
 UNION ALL
SELECT CONCAT_WS(CHAR(31), queue, kind, priority), ''
  FROM (SELECT queue, kind, priority
          FROM carrel_jobs
         WHERE state = 18
         GROUP BY state, queue, kind, priority) AS limited
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
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes, j.limited
  FROM carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
 WHERE j.state = 2 AND j.queue = :queue AND j.kind = :kind
   AND (j.expires_at IS NULL OR j.expires_at > :now)
   AND NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

// What one statement finds, the next goes by: the session's variables carry it.
const char* const kFindLone = R"sql(
START TRANSACTION;
SELECT @carrel_lanes := COUNT(*),
       @carrel_now := (SELECT now_us FROM carrel_clock),
       @carrel_queue := MIN(queue), @carrel_kind := MIN(kind)
  FROM (SELECT queue, kind FROM carrel_jobs WHERE state = 2 GROUP BY state, queue, kind) AS lane
 WHERE kind IN (:kinds) AND (:queues_named = 0 OR queue IN (:queues))
   AND queue NOT IN (SELECT queue FROM carrel_paused);
)sql";

const char* const kPickNamed = R"sql(
START TRANSACTION;
EXECUTE carrel_pick USING :queue, :kind, :queue, :most)sql";

const char* const kPickLone = R"sql(
SELECT j.id, j.fence + 1, j.queue, j.kind, HEX(j.payload), j.timeout_us, j.priority, j.run_at,
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes, j.limited
  FROM carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
 WHERE @carrel_lanes = 1
   AND j.state = 2 AND j.queue = @carrel_queue AND j.kind = @carrel_kind
   AND (j.expires_at IS NULL OR j.expires_at > @carrel_now)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql";

const std::string kMarkListed = R"sql(
UPDATE carrel_jobs FORCE INDEX (PRIMARY)
   SET state = 3,
       fence = fence + 1,
       attempt = LEAST(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now
 WHERE id IN (:ids))sql";

const std::string kMarkAndCommit = kMarkListed + R"sql(;
COMMIT)sql";

const char* const kMarkOneAndCommit = R"sql(
EXECUTE carrel_mark USING :lease_end, :claim_number, :worker, :now, :id;
COMMIT)sql";

const char* const kPickIds = R"sql(
SELECT STRAIGHT_JOIN j.id, j.fence + 1, j.queue, j.kind, HEX(j.payload), j.timeout_us, j.priority, j.run_at,
       LEAST(j.attempt + 1, 65535), j.max_attempts, j.crashes, j.limited
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

}  // namespace

const server::Statements kStatements = {
    .inserted = server::RowShape::kArrays,
    .wide = server::RowShape::kArrays,
    .prepare = kPrepare,
    .claim_requests = kClaimRequests,
    .find_requests = kFindRequests,
    .insert_jobs = kInsertJobs,
    .insert_alike = kInsertAlike,
    .insert_job = kInsertJob,
    .start_job = kStartJob,
    .start_job_if_idle = nullptr,
    .insert_payloads = kInsertPayloads,
    .lock_keys = kLockKeys,
    .find_holders = kFindHolders,
    .hold_keys = kHoldKeys,
    .leave_keys = {kLeaveKeys, kFreeKeys},
    .forget_keys = kForgetKeys,
    .read_keys = kReadKeys,
    .replace_payloads = {kReplacePayloads, kDropPayloads, kForgetCheckpoints},
    .all_lanes = kAllLanes,
    .lanes = kLanes,
    .best_of_lane = kBestOfLane,
    .best_of_lanes = nullptr,
    .claim_lanes = nullptr,
    .claim_lane = nullptr,
    .claim_ids = nullptr,
    .claim_within = nullptr,
    .claim_lone = nullptr,
    .claim_lane_unless_limited = nullptr,
    .claim_lone_unless_limited = nullptr,
    .find_lone = kFindLone,
    .pick_lone = kPickLone,
    .pick_named = kPickNamed,
    .mark_and_commit = kMarkAndCommit.c_str(),
    .mark_one_and_commit = kMarkOneAndCommit,
    .pick_lane = kPickLane,
    .pick_ids = kPickIds,
    .mark = kMark,
    .running_by_queue =
        "SELECT queue, COUNT(*)"
        "  FROM carrel_jobs FORCE INDEX (carrel_jobs_available)"
        " WHERE state = 3 GROUP BY queue",
    .any_limits = kAnyLimits,
    .limit_keys = kLimitKeys,
    .lock_slots = kLockSlots,
    .try_slots = kTrySlots,
    .limits_now = kLimitsNow,
    .count_lanes = kCountLanes,
    .end_lines = kEndLines,
    .next_line = kNextLine,
    .pending_of_line = kPendingOfLine,
    .add_limits = kAddLimits,
    .drop_limit = "DELETE FROM carrel_limits WHERE job = :id",
    .forget_place = "UPDATE carrel_jobs SET limited = 0 WHERE id = :id AND limited = 1",
    .set_limits = kSetLimits,
    .unreserve = kPickReserved,
    .unreserve_picked = kUnreserve,
    .free_jobs = kFreeJobs,
    .hold_jobs = kHoldJobs,
    .candidates = nullptr,
    .limited_lanes = kLimitedLanes,
    .best_of_limited = kBestOfLimited,
    .read_limits = kReadLimits,
    .rates_now = kRatesNow,
    .end_rate_lines = kEndRateLines,
    .next_rate_line = kNextRateLine,
    .waiting_of_rate = kWaitingOfRate,
    .count_starts = kCountStarts,
    .count_rate_line = kCountRateLine,
    .newest_start = kNewestStart,
    .add_rates = kAddRates,
    .set_rates = kSetRates,
    .drop_rate = "DELETE FROM carrel_rates WHERE job = :id",
    .add_starts = kAddStarts,
    .take_start_back = kTakeStartBack,
    .wake_rates = kWakeRates,
    .due_rates = kDueRates,
    .period_of_rate = "SELECT period_us FROM carrel_rate_keys WHERE rate_key = :rate_key",
    .forget_starts = kForgetStarts,
    .rate_in_use = kRateInUse,
    .set_rate_wake =
        "UPDATE carrel_rate_keys SET wake_at = :wake_at WHERE rate_key = :rate_key",
    .drop_rate_key = "DELETE FROM carrel_rate_keys WHERE rate_key = :rate_key",
    .read_rates = kReadRates,
    .lock_jobs = kLockJobs,
    .try_jobs = kTryJobs.c_str(),
    .lock_runs = kLockRuns,
    .try_runs = kTryRuns.c_str(),
    .lock_history = kLockHistory,
    .lock_slots_now = kLockSlotsNow.c_str(),
    .lock_runs_now = kLockRunsNow.c_str(),
    .lock_history_now = kLockHistoryNow.c_str(),
    .try_history = kTryHistory.c_str(),
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
    .read_payloads = kReadPayloads.c_str(),
    .read_checkpoints = kReadCheckpoints.c_str(),
    .due_jobs = kDueJobs,
    .due_history = kDueHistory,
    .names = kNames,
    .try_names = kTryNames,
    .next_wake = kNextWake,
    .oldest_history = kOldestHistory,
    .purge = {kPurgeJobs, kPurgeHistory, kPurgeRequests, kPurgePayloads, kPurgeNotes,
              kPurgeAttempts, kPurgeLimits, kPurgeRates},
    .add_tally = kAddTally,
    .final_rows = kFinalRows,
    .read_tally = kReadTally,
    .delete_tally = kDeleteTally,
    .pause = kPause,
    .resume = kResume,
    .paused = kPaused,
    .footprint = kFootprint,
    .not_final = kNotFinal,
    .read_jobs = kReadJobs,
    .read_sizes = kReadSizes,
    .read_attempts = kReadAttempts,
    .list = kList,
    .list_many = kListMany,
    .list_near = kListNear,
    .count_available = kCountAvailable,
    .count_waiting = kCountWaiting,
    .count_final = kCountFinal,
};

const server::Statements kSnapshotStatements = [] {
  server::Statements sql = kStatements;
  sql.old_snapshots = true;
  sql.find_requests = kFindRequestsNow;
  sql.find_holders_now = kFindHoldersNow;
  sql.limit_keys_now = kLimitKeysNow;
  sql.end_lines = kEndLinesNow;
  sql.next_line = kNextLineNow;
  sql.pending_of_line = kPendingOfLineNow;
  return sql;
}();

}  // namespace carrel::sql::mariadb
