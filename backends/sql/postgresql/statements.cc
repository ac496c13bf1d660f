#include "postgresql/statements.h"

#include <string>
#include <string_view>

#include "postgresql/limit_statements.h"
#include "postgresql/monitor_statements.h"
#include "postgresql/rate_statements.h"
#include "postgresql/row_statements.h"
#include "postgresql/snapshot_statements.h"
#include "postgresql/unique_statements.h"

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

// Arrays are read in half the time that it takes to find the names in JSON.
const char* const kInsertJobs = R"sql(
WITH begun AS MATERIALIZED (
  SELECT CASE WHEN :now::bigint = 0 THEN now_us ELSE 0 END AS at FROM carrel_clock
)
INSERT INTO carrel_jobs
       (id, state, limited, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT coalesce(r.id, nextval('carrel_job_id')), r.state & 31, r.state >> 5, r.queue,
       r.kind, r.priority, r.max_attempts, r.wake_at + (SELECT at FROM begun),
       r.expires_at + (SELECT at FROM begun), :now::bigint + (SELECT at FROM begun),
       r.run_at + (SELECT at FROM begun), r.timeout_us,
       decode(r.request_id, 'hex'), decode(r.payload, 'hex')
  FROM (SELECT r.*
          FROM (SELECT :rows::text[] AS of OFFSET 0) AS columns,
               unnest(of[1]::int[], of[2]::smallint[], of[3]::text[], of[4]::text[],
                      of[5]::smallint[], of[6]::int[], of[7]::bigint[],
                      of[8]::bigint[], of[9]::bigint[], of[10]::bigint[],
                      of[11]::text[], of[12]::bigint[], of[13]::text[]) AS r(
               n, state, queue, kind, priority, max_attempts, wake_at, expires_at,
               run_at, timeout_us, payload, id, request_id)
         ORDER BY n) AS r
RETURNING id)sql";

const char* const kInsertAlike = R"sql(
WITH begun AS MATERIALIZED (
  SELECT CASE WHEN :now::bigint = 0 THEN now_us ELSE 0 END AS at FROM carrel_clock
)
INSERT INTO carrel_jobs
       (id, state, limited, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT nextval('carrel_job_id'), :state::smallint & 31, :state::smallint >> 5, :queue,
       :kind, :priority::smallint, :max_attempts::int,
       :wake_at::bigint + (SELECT at FROM begun),
       :expires_at::bigint + (SELECT at FROM begun),
       :now::bigint + (SELECT at FROM begun),
       :run_at::bigint + (SELECT at FROM begun), :timeout::bigint,
       decode(r.payload, 'hex')
  FROM (SELECT r.payload
          FROM (SELECT :rows::text[] AS of OFFSET 0) AS columns,
               unnest(of[1]::int[], of[2]::text[]) AS r(n, payload)
         ORDER BY n) AS r
RETURNING id)sql";

// Of one job, for the time at which it runs: without the detour through JSON.
const char* const kInsertJob = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT nextval('carrel_job_id'), :state, :queue, :kind, :priority, :max_attempts,
       :wake_at + now_us, :expires_at + now_us, now_us, :run_at + now_us, :timeout,
       decode(:payload, 'hex')
  FROM carrel_clock
RETURNING id)sql";

// Where jobs are available in very many lanes, whoever they are for, it does not look
// through all of them.
const std::string kStartJob = kPlainLanes + R"sql(), few AS MATERIALIZED (
  SELECT queue, kind FROM lane LIMIT 65
), begun AS MATERIALIZED (
  SELECT now_us,
         NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
         AND (SELECT count(*) FROM few) < 65
         AND (SELECT id FROM carrel_jobs WHERE state = 18 ORDER BY queue LIMIT 1) IS NULL
         AND NOT EXISTS (
           SELECT 1
             FROM few
            WHERE kind = ANY(ARRAY(SELECT r.name FROM json_to_recordset(:kinds::json)
                                       AS r(name text)))
              AND (:queues::text = '[]'
                   OR queue = ANY(ARRAY(SELECT r.name
                                          FROM json_to_recordset(:queues::json)
                                            AS r(name text))))
              AND queue NOT IN (SELECT queue FROM carrel_paused)) AS starts,
         NOT EXISTS (SELECT 1 FROM few) AND NOT EXISTS (SELECT 1 FROM carrel_paused)
         AND (SELECT id FROM carrel_jobs WHERE state = 18 ORDER BY queue LIMIT 1) IS NULL
           AS idle
    FROM carrel_clock
)
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at, enqueued_at,
        run_at, timeout_us, payload, fence, attempt, claim_number, worker, started_at)
SELECT nextval('carrel_job_id'), CASE WHEN starts THEN 3 ELSE 2 END, :queue, :kind,
       :priority, :max_attempts,
       CASE WHEN starts THEN :lease_end::bigint ELSE :wake_at::bigint END + now_us,
       :expires_at + now_us, now_us, now_us, :timeout, decode(:payload, 'hex'),
       starts::int, starts::int, CASE WHEN starts THEN :claim_number::bigint ELSE 0 END,
       CASE WHEN starts THEN :worker ELSE '' END, CASE WHEN starts THEN now_us END
  FROM begun
RETURNING id, state, (SELECT idle FROM begun)::int)sql";

// Each scan that a statement names is made ready, whether it comes to it or not: this is
// three.
const char* const kStartJobIfIdle = R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at, enqueued_at,
        run_at, timeout_us, payload, fence, attempt, claim_number, worker, started_at)
SELECT nextval('carrel_job_id'), 3, :queue, :kind, :priority, :max_attempts,
       :lease_end + now_us, :expires_at + now_us, now_us, now_us, :timeout,
       decode(:payload, 'hex'), 1, 1, :claim_number, :worker, now_us
  FROM carrel_clock
 WHERE (SELECT id FROM carrel_jobs WHERE state = 2 ORDER BY queue LIMIT 1) IS NULL
   AND (SELECT id FROM carrel_jobs WHERE state = 18 ORDER BY queue LIMIT 1) IS NULL
   AND NOT EXISTS (SELECT 1 FROM carrel_paused)
RETURNING id, state)sql";

const char* const kInsertPayloads = R"sql(
INSERT INTO carrel_payloads (job, bytes)
SELECT r.job, decode(r.bytes, 'hex')
  FROM json_to_recordset(:rows::json) AS r(job bigint, bytes text))sql";

const std::string kLanes = kPlainLanes + R"sql()
SELECT queue, kind
  FROM lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

const std::string kAllLanes = kEachLane + R"sql()
SELECT queue, kind
  FROM lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused)
 UNION ALL
SELECT queue || chr(31) || kind || chr(31) || priority, ''
  FROM limited
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

// A CTE that locks is run once; a sub-select might be for each row of the join, and lock
// more than LIMIT says.
const char* const kClaimLanes = R"sql(
WITH begun AS MATERIALIZED (
  SELECT CASE WHEN :now::bigint = 0 THEN now_us ELSE 0 END AS at FROM carrel_clock
), best AS MATERIALIZED (
  SELECT one.id
    FROM json_to_recordset(:rows::json) AS lane(queue text, kind text, most int),
         LATERAL (SELECT id
                    FROM carrel_jobs
                   WHERE state = 2 AND queue = lane.queue AND kind = lane.kind
                     AND (expires_at IS NULL
                          OR expires_at > :now::bigint + (SELECT at FROM begun))
                   ORDER BY priority, run_at, id
                   LIMIT lane.most
                     FOR UPDATE SKIP LOCKED) AS one
   WHERE lane.queue NOT IN (SELECT queue FROM carrel_paused)
)
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end + (SELECT at FROM begun),
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint + (SELECT at FROM begun)
 WHERE id = ANY(ARRAY(SELECT id FROM best))
RETURNING id, fence, queue, kind, encode(payload, 'hex'), timeout_us, priority, run_at,
          attempt, max_attempts, crashes, limited)sql";

const char* const kClaimLane = R"sql(
WITH begun AS MATERIALIZED (
  SELECT CASE WHEN :now::bigint = 0 THEN now_us ELSE 0 END AS at FROM carrel_clock
), best AS MATERIALIZED (
  SELECT id
    FROM carrel_jobs
   WHERE state = 2 AND queue = :queue AND kind = :kind
     AND (expires_at IS NULL OR expires_at > :now::bigint + (SELECT at FROM begun))
     AND NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
   ORDER BY priority, run_at, id
   LIMIT :most
     FOR UPDATE SKIP LOCKED
)
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end + (SELECT at FROM begun),
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint + (SELECT at FROM begun)
 WHERE id = ANY(ARRAY(SELECT id FROM best))
RETURNING id, fence, queue, kind, encode(payload, 'hex'), timeout_us, priority, run_at,
          attempt, max_attempts, crashes, limited)sql";

const std::string kClaimLone = kPlainLanes + R"sql(), mine AS MATERIALIZED (
  SELECT queue, kind
    FROM lane
   WHERE kind = ANY(ARRAY(SELECT r.name FROM json_to_recordset(:kinds::json)
                              AS r(name text)))
     AND (:queues::text = '[]'
          OR queue = ANY(ARRAY(SELECT r.name FROM json_to_recordset(:queues::json)
                                  AS r(name text))))
     AND queue NOT IN (SELECT queue FROM carrel_paused)
   LIMIT 2
), begun AS MATERIALIZED (
  SELECT CASE WHEN :now::bigint = 0 THEN now_us ELSE 0 END AS at FROM carrel_clock
), best AS MATERIALIZED (
  SELECT one.id
    FROM mine,
         LATERAL (SELECT id
                    FROM carrel_jobs
                   WHERE state = 2 AND queue = mine.queue AND kind = mine.kind
                     AND (expires_at IS NULL
                          OR expires_at > :now::bigint + (SELECT at FROM begun))
                   ORDER BY priority, run_at, id
                   LIMIT :most
                     FOR UPDATE SKIP LOCKED) AS one
   WHERE (SELECT count(*) FROM mine) = 1
), claimed AS (
  UPDATE carrel_jobs
     SET state = 3,
         fence = fence + 1,
         attempt = least(attempt + 1, 65535),
         wake_at = :lease_end + (SELECT at FROM begun),
         claim_number = :claim_number,
         worker = :worker,
         started_at = :now::bigint + (SELECT at FROM begun)
   WHERE id = ANY(ARRAY(SELECT id FROM best))
  RETURNING id, fence, queue, kind, encode(payload, 'hex') AS payload, timeout_us,
            priority, run_at, attempt, max_attempts, crashes, limited
)
SELECT (SELECT count(*) FROM mine), coalesce(id, 0), coalesce(fence, 0),
       coalesce(claimed.queue, ''), coalesce(claimed.kind, ''), payload,
       coalesce(timeout_us, 0), coalesce(priority, 0), coalesce(run_at, 0),
       coalesce(attempt, 0), coalesce(max_attempts, 0), coalesce(crashes, 0),
       coalesce(limited, 0)
  FROM (SELECT 1) AS one
  LEFT JOIN claimed ON true)sql";

// For the time when some jobs have to ask for limits or rates: claims nothing while one
// of those is available, which may come before what this would claim.
std::string unless_any_limited(std::string text, std::string_view before) {
  constexpr std::string_view kNone = R"sql(
     AND (SELECT id FROM carrel_jobs WHERE state = 18 ORDER BY queue LIMIT 1) IS NULL)sql";
  return text.insert(text.find(before), kNone);
}

const std::string kClaimLaneUnlessLimited =
    unless_any_limited(kClaimLane, "\n   ORDER BY priority, run_at, id\n   LIMIT :most");

const std::string kClaimLoneUnlessLimited =
    unless_any_limited(kClaimLone, "\n), claimed AS (");

// The end of a claim that has said before which.
const std::string kClaimThose = R"sql(
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint
 WHERE id = ANY(ARRAY(SELECT id FROM those))
RETURNING id, fence, queue, kind, encode(payload, 'hex'), timeout_us, priority, run_at,
          attempt, max_attempts, crashes, limited)sql";

const std::string kClaimIds = R"sql(
WITH those AS MATERIALIZED (
  SELECT id
    FROM carrel_jobs
   WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
     AND state = :state
     AND (expires_at IS NULL OR expires_at > :now::bigint)
     AND queue NOT IN (SELECT queue FROM carrel_paused)
   ORDER BY id
     FOR UPDATE SKIP LOCKED
))sql" + kClaimThose;

// Of :rows, whose keys nobody else may change meanwhile, as many of each key as may run
// beside what does, the first of them first. None that has a rate, nor of a key in which
// places are reserved.
const std::string kClaimWithin = R"sql(
WITH asked AS MATERIALIZED (
  SELECT j.id, l.limit_key, l.running, r.n
    FROM (SELECT :rows::text[] AS of OFFSET 0) AS columns,
         unnest(of[1]::int[], of[2]::bigint[], of[3]::text[]) AS r(n, id, limit_key)
    JOIN carrel_jobs j ON j.id = r.id AND j.state = 18
    JOIN carrel_limits l ON l.job = r.id AND l.state = 2 AND l.limit_key = r.limit_key
   WHERE (j.expires_at IS NULL OR j.expires_at > :now::bigint)
     AND j.queue NOT IN (SELECT queue FROM carrel_paused)
     FOR UPDATE OF j SKIP LOCKED
), ranked AS (
  SELECT id, limit_key, running,
         row_number() OVER (PARTITION BY limit_key ORDER BY n) AS place
    FROM asked
), counted AS (
  SELECT id, place, running,
         max(CASE WHEN place = 1 THEN
               (SELECT CASE WHEN count(*) FILTER (WHERE o.stands = 2) > 0 THEN NULL
                            ELSE count(*) FILTER (WHERE o.stands = 3) END
                  FROM (SELECT (SELECT r.state FROM carrel_jobs r WHERE r.id = beside.job)
                                 AS stands
                          FROM carrel_limits beside
                         WHERE beside.limit_key = ranked.limit_key AND beside.state >= 2
                        OFFSET 0) AS o)
             END) OVER (PARTITION BY limit_key) AS busy
    FROM ranked
), those AS (
  SELECT id FROM counted WHERE busy + place <= running
))sql" + kClaimThose;

}  // namespace

const server::Statements kStatements = {
    .inserted = server::RowShape::kColumns,
    .wide = server::RowShape::kObjects,
    .prepare = nullptr,
    .claim_requests = kClaimRequests,
    .find_requests = kFindRequests,
    .insert_jobs = kInsertJobs,
    .insert_alike = kInsertAlike,
    .insert_job = kInsertJob,
    .start_job = kStartJob.c_str(),
    .start_job_if_idle = kStartJobIfIdle,
    .insert_payloads = kInsertPayloads,
    .lock_keys = kLockKeys,
    .find_holders = kFindHolders,
    .hold_keys = kHoldKeys,
    .leave_keys = {kLeaveKeys},
    .forget_keys = kForgetKeys,
    .read_keys = kReadKeys,
    .replace_payloads = {kReplacePayloads},
    .all_lanes = kAllLanes.c_str(),
    .lanes = kLanes.c_str(),
    .best_of_lane = nullptr,
    .best_of_lanes = kBestOfLanes,
    .claim_lanes = kClaimLanes,
    .claim_lane = kClaimLane,
    .claim_ids = kClaimIds.c_str(),
    .claim_within = kClaimWithin.c_str(),
    .claim_lone = kClaimLone.c_str(),
    .claim_lane_unless_limited = kClaimLaneUnlessLimited.c_str(),
    .claim_lone_unless_limited = kClaimLoneUnlessLimited.c_str(),
    .find_lone = nullptr,
    .pick_lone = nullptr,
    .pick_named = nullptr,
    .mark_and_commit = nullptr,
    .mark_one_and_commit = nullptr,
    .pick_lane = nullptr,
    .pick_ids = nullptr,
    .mark = nullptr,
    .running_by_queue =
        "SELECT queue, count(*) FROM carrel_jobs WHERE state = 3 GROUP BY queue",
    .any_limits = kAnyLimits,
    .limit_keys = kLimitKeys,
    .lock_slots = kLockSlots,
    .try_slots = kTrySlots,
    .limits_now = kLimitsNow,
    .count_lanes = kCountLanes,
    .end_lines = kEndLines,
    .next_line = nullptr,
    .pending_of_line = kPendingOfLine,
    .add_limits = kAddLimits,
    .drop_limit = "DELETE FROM carrel_limits WHERE job = :id",
    .forget_place = "UPDATE carrel_jobs SET limited = 0 WHERE id = :id AND limited = 1",
    .set_limits = kSetLimits,
    .unreserve = kUnreserve,
    .unreserve_picked = nullptr,
    .free_jobs = kFreeJobs,
    .hold_jobs = kHoldJobs,
    .candidates = kCandidates.c_str(),
    .limited_lanes = kLimitedLanes.c_str(),
    .best_of_limited = kBestOfLimited,
    .read_limits = kReadLimits,
    .rates_now = kRatesNow,
    .end_rate_lines = kEndRateLines,
    .next_rate_line = nullptr,
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
    .lock_slots_now = nullptr,
    .lock_runs_now = nullptr,
    .lock_history_now = nullptr,
    .try_history = kTryHistory.c_str(),
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
    .read_checkpoints = kReadCheckpoints,
    .due_jobs = kDueJobs,
    .due_history = kDueHistory,
    .names = kNames,
    .try_names = kTryNames.c_str(),
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
  sql.check_holders = kCheckHolders;
  sql.end_lines = nullptr;
  return sql;
}();

}  // namespace carrel::sql::postgresql
