#include "statements.h"

#include <string>

namespace carrel::sql::sqlite::statements {

// IMMEDIATE: a transaction that begins by reading and then writes can fail half way.
const char* const kBegin = "BEGIN IMMEDIATE";
const char* const kCommit = "COMMIT";
const char* const kRollback = "ROLLBACK";

const char* const kFindRequest = R"sql(
SELECT id, state, queue, kind, priority
  FROM carrel_jobs
 WHERE request_id = :request_id)sql";

const char* const kInsertJob = R"sql(
INSERT INTO carrel_jobs
       (state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
VALUES (:state, :queue, :kind, :priority, :max_attempts, :wake_at, :expires_at,
        :enqueued_at, :run_at, :timeout_us, :request_id, CAST(:payload AS BLOB)))sql";

const char* const kInsertPayload = R"sql(
INSERT INTO carrel_payloads (job, bytes) VALUES (:job, CAST(:bytes AS BLOB)))sql";

const char* const kNextQueue = R"sql(
SELECT queue, kind
  FROM carrel_jobs
 WHERE state = 2 AND queue > :queue
 ORDER BY queue, kind
 LIMIT 1)sql";

const char* const kNextKind = R"sql(
SELECT kind
  FROM carrel_jobs
 WHERE state = 2 AND queue = :queue AND kind > :kind
 ORDER BY kind
 LIMIT 1)sql";

const char* const kBestOfLane = R"sql(
SELECT id, priority, run_at
  FROM carrel_jobs
 WHERE state = 2 AND queue = :queue AND kind = :kind
   AND (expires_at IS NULL OR expires_at > :now)
 ORDER BY priority, run_at, id
 LIMIT :most)sql";

// A claim picks, and then marks what it picked: an UPDATE with RETURNING takes two to
// four times as long as the two. Nobody else writes between them.
const char* const kPickLane = R"sql(
SELECT id, fence + 1, payload, timeout_us, priority, run_at, min(attempt + 1, 65535),
       max_attempts, crashes
  FROM carrel_jobs
 WHERE state = 2 AND queue = :queue AND kind = :kind
   AND (expires_at IS NULL OR expires_at > :now)
 ORDER BY priority, run_at, id
 LIMIT :most)sql";

// The same with the limits that they have.
const char* const kPickLimitedLane = R"sql(
SELECT j.id, j.fence + 1, j.payload, j.timeout_us, j.priority, j.run_at,
       min(j.attempt + 1, 65535), j.max_attempts, j.crashes,
       coalesce(l.key, ''), coalesce(l.running, 0),
       EXISTS (SELECT 1 FROM carrel_limits AS r WHERE r.key = l.key AND r.state = 3)
  FROM carrel_jobs AS j
  LEFT JOIN carrel_limits AS l ON l.job = j.id AND +l.state = 2
 WHERE j.state = 2 AND j.queue = :queue AND j.kind = :kind
   AND (j.expires_at IS NULL OR j.expires_at > :now)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT :most)sql";

// "+state" keeps the planner from the index of available jobs, in which it would read
// every one of them.
const char* const kPickIds = R"sql(
SELECT id, fence + 1, queue, kind, payload, timeout_us, priority, run_at,
       min(attempt + 1, 65535), max_attempts, crashes
  FROM carrel_jobs
 WHERE id IN (SELECT value FROM json_each(:ids))
   AND +state = 2
   AND (expires_at IS NULL OR expires_at > :now)
   AND queue NOT IN (SELECT queue FROM carrel_paused))sql";

const char* const kMark = R"sql(
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = min(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now
 WHERE id IN (SELECT value FROM json_each(:ids)) AND +state = 2)sql";

// Of all that run: with the index for the sweep, since one of its own would have to be
// kept by every claim and finish.
const char* const kCountRunningOfQueue = R"sql(
SELECT count(*)
  FROM carrel_jobs
 WHERE state = 3 AND wake_at IS NOT NULL AND queue = :queue)sql";

const char* const kFindUnique = R"sql(
SELECT u.job, u.enqueued_at, coalesce(u.state, j.state), u.state IS NOT NULL
  FROM carrel_unique u
  LEFT JOIN carrel_jobs j ON j.id = u.job
 WHERE u.key = :key)sql";

const char* const kHoldUnique = R"sql(
INSERT OR REPLACE INTO carrel_unique (key, job, enqueued_at, until)
VALUES (:key, :job, :enqueued_at, :until))sql";

const char* const kLeaveUnique = R"sql(
UPDATE carrel_unique
   SET state = (SELECT state FROM carrel_jobs WHERE id = job)
 WHERE job IN (SELECT value FROM json_each(:ids)) AND +until > :now)sql";

const char* const kDeleteUnique = R"sql(
DELETE FROM carrel_unique
 WHERE job IN (SELECT value FROM json_each(:ids)) AND +until <= :now)sql";

const char* const kForgetUnique = R"sql(
DELETE FROM carrel_unique
 WHERE key IN (SELECT key
                 FROM carrel_unique
                WHERE state IS NOT NULL AND until <= :now
                LIMIT :most))sql";

const char* const kNextUnique = R"sql(
SELECT until FROM carrel_unique WHERE state IS NOT NULL ORDER BY until LIMIT 1)sql";

const char* const kReadUnique = R"sql(
SELECT key FROM carrel_unique WHERE job = :id)sql";

const char* const kReplacePayload = R"sql(
UPDATE carrel_jobs SET payload = CAST(:payload AS BLOB) WHERE id = :id)sql";

const char* const kDeletePayload = R"sql(
DELETE FROM carrel_payloads WHERE job = :job)sql";

const char* const kForgetCheckpoint = R"sql(
UPDATE carrel_notes SET checkpoint = CAST('' AS BLOB) WHERE job = :job)sql";

const char* const kLoadRows = R"sql(
SELECT id, state, queue, kind, priority, cancel_requested, attempt, max_attempts,
       crashes, fence, finished_fence, wake_at, expires_at, run_at, started_at,
       ended_at, claim_number, worker
  FROM carrel_jobs
 WHERE id IN (SELECT value FROM json_each(:ids)))sql";

const char* const kSaveRow = R"sql(
UPDATE carrel_jobs
   SET state = :state,
       cancel_requested = :cancel_requested,
       attempt = :attempt,
       max_attempts = :max_attempts,
       crashes = :crashes,
       finished_fence = :finished_fence,
       wake_at = :wake_at,
       expires_at = :expires_at,
       run_at = :run_at,
       ended_at = :ended_at
 WHERE id = :id)sql";

// A finish: as kSaveRow, and the result.
const char* const kSaveFinished = R"sql(
UPDATE carrel_jobs
   SET state = :state,
       cancel_requested = :cancel_requested,
       attempt = :attempt,
       max_attempts = :max_attempts,
       crashes = :crashes,
       finished_fence = :finished_fence,
       wake_at = :wake_at,
       expires_at = :expires_at,
       run_at = :run_at,
       ended_at = :ended_at,
       result = CAST(:result AS BLOB)
 WHERE id = :id)sql";

const char* const kForgetResult = R"sql(
UPDATE carrel_jobs SET result = NULL WHERE id = :id)sql";

// Most finishes: what it writes does not depend on what the row says beside its fence.
const char* const kComplete = R"sql(
UPDATE carrel_jobs
   SET state = 5,
       finished_fence = :fence,
       wake_at = :wake_at,
       ended_at = :now,
       result = CAST(:result AS BLOB)
 WHERE id = :id AND fence = :fence AND +state = 3)sql";

const char* const kAddAttempt = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, signal,
        wall_us, cpu_us, max_rss, stderr_tail, ending, worker, started_at, ended_at)
VALUES (:job, :fence, :attempt, :class, :message, :code, :native, :exit_code, :signal,
        :wall_us, :cpu_us, :max_rss, :stderr_tail, :ending, :worker, :started_at,
        :ended_at))sql";

// An attempt of which there is nothing more to say.
const char* const kAddSuccess = R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, wall_us, worker, started_at, ended_at)
VALUES (:job, :fence, :attempt, :class, :wall_us, :worker, :started_at, :ended_at))sql";

const char* const kTrimAttempts = R"sql(
DELETE FROM carrel_attempts
 WHERE job = :job
   AND fence <= (SELECT fence FROM carrel_attempts
                  WHERE job = :job ORDER BY fence DESC LIMIT 1 OFFSET :keep))sql";

const char* const kRenewLeases = R"sql(
UPDATE carrel_jobs
   SET wake_at = :lease_end
 WHERE id IN (SELECT value FROM json_each(:ids)) AND +state = 3)sql";

const char* const kRunningOfWorker = R"sql(
SELECT id, fence
  FROM carrel_jobs INDEXED BY carrel_jobs_wake
 WHERE state = 3 AND wake_at IS NOT NULL
   AND worker = :worker AND claim_number <= :settled)sql";

const char* const kReadNotes = R"sql(
SELECT fraction, message, checkpoint, log FROM carrel_notes WHERE job = :job)sql";

const char* const kSaveNotes = R"sql(
INSERT OR REPLACE INTO carrel_notes (job, fraction, message, checkpoint, log)
VALUES (:job, :fraction, CAST(:message AS BLOB), CAST(:checkpoint AS BLOB),
        CAST(:log AS BLOB)))sql";

const char* const kDueRows = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE state = :state AND wake_at <= :now
 ORDER BY wake_at
 LIMIT :most)sql";

const char* const kNextWake = R"sql(
SELECT wake_at
  FROM carrel_jobs
 WHERE state = :state AND wake_at IS NOT NULL
 ORDER BY wake_at
 LIMIT 1)sql";

const char* const kOldestFinal = R"sql(
SELECT id, ended_at
  FROM carrel_jobs
 WHERE state = :state AND wake_at IS NOT NULL
 ORDER BY wake_at
 LIMIT :most)sql";

const char* const kDeleteJobs = R"sql(
DELETE FROM carrel_jobs WHERE id IN (SELECT value FROM json_each(:ids)))sql";

const char* const kDeletePayloads = R"sql(
DELETE FROM carrel_payloads WHERE job IN (SELECT value FROM json_each(:ids)))sql";

const char* const kDeleteNotes = R"sql(
DELETE FROM carrel_notes WHERE job IN (SELECT value FROM json_each(:ids)))sql";

const char* const kDeleteAttempts = R"sql(
DELETE FROM carrel_attempts WHERE job IN (SELECT value FROM json_each(:ids)))sql";

const char* const kAddTally = R"sql(
INSERT INTO carrel_tally (queue, state, jobs) VALUES (:queue, :state, :jobs)
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs)sql";

const char* const kFinalRows = R"sql(
SELECT coalesce(sum(jobs), 0) FROM carrel_tally)sql";

const char* const kPause = R"sql(
INSERT OR IGNORE INTO carrel_paused (queue) VALUES (:queue))sql";

const char* const kResume = R"sql(
DELETE FROM carrel_paused WHERE queue = :queue)sql";

const char* const kPaused = R"sql(
SELECT queue FROM carrel_paused ORDER BY queue)sql";

const char* const kFootprint = R"sql(
SELECT page_count * page_size, freelist_count * page_size
  FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size())sql";

const char* const kNotFinal = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE id IN (SELECT value FROM json_each(:ids)) AND +state < 5)sql";

const char* const kReadPayload = R"sql(
SELECT bytes FROM carrel_payloads WHERE job = :job)sql";

const char* const kReadAttempts = R"sql(
SELECT fence, attempt, class, message, code, native, exit_code, signal, wall_us, cpu_us,
       max_rss, stderr_tail, ending, worker, started_at, ended_at
  FROM carrel_attempts
 WHERE job = :job
 ORDER BY fence)sql";

const char* const kReadJob = R"sql(
SELECT id, state, queue, kind, priority, attempt, max_attempts, crashes,
       cancel_requested, fence, expires_at, enqueued_at, run_at, started_at, ended_at,
       timeout_us, worker, request_id, payload, result
  FROM carrel_jobs
 WHERE id = :id)sql";

// Walks the ids downwards. :states is a mask, bit n for state n.
const char* const kListJobs = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE id < :before
   AND (:states >> state) & 1
   AND (:queue = '' OR queue = :queue)
   AND (:kind = '' OR kind = :kind)
   AND enqueued_at <= :enqueued_before
 ORDER BY id DESC
 LIMIT :most)sql";

namespace {

// Sought by name, so that the others are not read.
const std::string kInFewStates = R"sql(
   AND state IN (CASE WHEN :states & 1 THEN 0 ELSE -1 END,
                 CASE WHEN :states & 2 THEN 1 ELSE -1 END,
                 CASE WHEN :states & 8 THEN 3 ELSE -1 END,
                 CASE WHEN :states & 16 THEN 4 ELSE -1 END,
                 CASE WHEN :states & 64 THEN 6 ELSE -1 END,
                 CASE WHEN :states & 128 THEN 7 ELSE -1 END))sql";

// The same where the states asked for are rare ones: their rows are found by the wake
// index, however many others there are; and not read at all where nothing is asked that
// only they say.
const std::string kListFewJobsText = R"sql(
SELECT id
  FROM carrel_jobs INDEXED BY carrel_jobs_wake
 WHERE wake_at IS NOT NULL)sql" + kInFewStates +
                                     R"sql(
   AND id < :before
   AND (:queue = '' OR queue = :queue)
   AND (:kind = '' OR kind = :kind)
   AND (:enqueued_before = 9223372036854775807 OR enqueued_at <= :enqueued_before)
 ORDER BY id DESC
 LIMIT :most)sql";

// Where they are so many that to sort them for a page takes longer than to look for them
// among the next rows, as kListNearJobs does: it has them all if its page is full.
const std::string kFewAreManyText = R"sql(
SELECT COUNT(*) > 20000
  FROM (SELECT 1
          FROM carrel_jobs INDEXED BY carrel_jobs_wake
         WHERE wake_at IS NOT NULL)sql" +
                                    kInFewStates + R"sql(
         LIMIT 20001))sql";

}  // namespace

const char* const kListFewJobs = kListFewJobsText.c_str();
const char* const kFewAreMany = kFewAreManyText.c_str();

const char* const kListNearJobs = R"sql(
SELECT id
  FROM carrel_jobs
 WHERE id < :before
   AND id > COALESCE((SELECT id
                        FROM carrel_jobs
                       WHERE id < :before
                       ORDER BY id DESC
                       LIMIT 1 OFFSET 10000), 0)
   AND (:states >> state) & 1
   AND (:queue = '' OR queue = :queue)
   AND (:kind = '' OR kind = :kind)
   AND enqueued_at <= :enqueued_before
 ORDER BY id DESC
 LIMIT :most)sql";

const char* const kCountAvailable = R"sql(
SELECT queue, kind, count(*), min(run_at)
  FROM carrel_jobs INDEXED BY carrel_jobs_available
 WHERE state = 2
 GROUP BY queue, kind)sql";

const char* const kCountWaiting = R"sql(
SELECT queue, state, count(*)
  FROM carrel_jobs INDEXED BY carrel_jobs_wake
 WHERE state IN (0, 1, 3, 4) AND wake_at IS NOT NULL
 GROUP BY queue, state)sql";

const char* const kCountFinal = R"sql(
SELECT queue, state, jobs FROM carrel_tally WHERE jobs > 0)sql";

const char* const kDataVersion = "PRAGMA data_version";
const char* const kSchemaCookie = "PRAGMA schema_version";

}  // namespace carrel::sql::sqlite::statements
