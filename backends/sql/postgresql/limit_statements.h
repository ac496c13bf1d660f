// Limits by key; what they mean is in server/limits.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::postgresql {

// In an order, so that no statistics make it read all that has ended or waits.
inline constexpr const char* kAnyLimits = R"sql(
SELECT count((SELECT job FROM carrel_limits WHERE state = 2 ORDER BY lane LIMIT 1))::int,
       count((SELECT job FROM carrel_rates WHERE state = 2 ORDER BY lane LIMIT 1))::int)sql";

inline constexpr const char* kLimitKeys = R"sql(
WITH asked AS MATERIALIZED (
  SELECT json_array_elements_text(:ids::json)::bigint AS id
)
SELECT job, limit_key, 0
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT id FROM asked))
UNION ALL
SELECT job, rate_key, 1
  FROM carrel_rates
 WHERE job = ANY(ARRAY(SELECT id FROM asked)))sql";

inline constexpr const char* kLockSlots = R"sql(
SELECT slot
  FROM carrel_limit_slots
 WHERE slot = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::smallint))
 ORDER BY slot
   FOR UPDATE)sql";

inline constexpr const char* kTrySlots = R"sql(
SELECT slot
  FROM carrel_limit_slots
 WHERE slot = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::smallint))
 ORDER BY slot
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kLimitsNow = R"sql(
SELECT l.job, l.limit_key, l.running, l.state,
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs r ON r.id = o.job AND r.state = 3
         WHERE o.limit_key = l.limit_key AND o.state = 3)
  FROM carrel_limits l
  JOIN carrel_jobs j ON j.id = l.job AND j.state = 18
 WHERE l.job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND l.state IN (2, 18))sql";

inline constexpr const char* kCountLine = R"sql(
SELECT line.n,
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs r ON r.id = o.job AND r.state = 3
         WHERE o.limit_key = line.limit_key AND o.state = 3),
       (SELECT count(*)
          FROM carrel_limits o
          JOIN carrel_jobs a ON a.id = o.job AND a.state = 18
         WHERE o.limit_key = line.limit_key AND o.state IN (2, 18)
           AND o.lane = line.lane)
  FROM json_to_recordset(:rows::json) AS line(n int, limit_key text, lane text))sql";

inline constexpr const char* kNextLine = R"sql(
SELECT line.n,
       coalesce((SELECT o.lane
                   FROM carrel_limits o
                  WHERE o.limit_key = line.limit_key AND o.state = 0
                    AND o.lane > line.lane
                  ORDER BY o.lane
                  LIMIT 1), '')
  FROM json_to_recordset(:rows::json) AS line(n int, limit_key text, lane text))sql";

inline constexpr const char* kPendingOfLine = R"sql(
SELECT l.job, l.running, coalesce(r.rate_key, ''), coalesce(r.starts, 0),
       coalesce(r.period_us, 0)
  FROM carrel_limits l
  JOIN carrel_jobs j ON j.id = l.job AND j.state = 0
  LEFT JOIN carrel_rates r ON r.job = l.job
 WHERE l.limit_key = :limit_key AND l.state = 0 AND l.lane = :lane
 ORDER BY l.run_at, l.job
 LIMIT :most)sql";

inline constexpr const char* kAddLimits = R"sql(
INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)
SELECT job, limit_key, lane, run_at, running, state
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, limit_key text, lane text, run_at bigint, running bigint,
       state smallint))sql";

inline constexpr const char* kSetLimits = R"sql(
WITH r AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(job bigint, state smallint, run_at bigint)
)
UPDATE carrel_limits l
   SET state = r.state,
       run_at = coalesce(r.run_at, l.run_at)
  FROM r
 WHERE l.job = r.job AND l.job = ANY(ARRAY(SELECT job FROM r)))sql";

inline constexpr const char* kFreeJobs = R"sql(
UPDATE carrel_jobs
   SET state = 18, wake_at = expires_at
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 0)sql";

inline constexpr const char* kHoldJobs = R"sql(
UPDATE carrel_jobs
   SET state = 0, wake_at = coalesce(expires_at, 9223372036854775807)
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 18)sql";

inline constexpr const char* kLimitedLanes = R"sql(
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

inline constexpr const char* kBestOfLimited = R"sql(
SELECT job, run_at, limit_key, ''::text
  FROM carrel_limits
 WHERE state = 2 AND lane = :lane
   AND coalesce((SELECT j.expires_at > :now FROM carrel_jobs j WHERE j.id = job), true)
 ORDER BY run_at, job
 LIMIT :most)sql";

// Every lane in which something is available, each found by one probe of an index: those
// of plain jobs, of jobs with a limit and of jobs with a rate. The last is still open.
inline const std::string kEachLane = R"sql(
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
), limited AS (
  (SELECT lane FROM carrel_limits WHERE state = 2 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT next.lane
    FROM limited,
         LATERAL (SELECT l.lane
                    FROM carrel_limits l
                   WHERE l.state = 2 AND l.lane > limited.lane
                   ORDER BY l.lane
                   LIMIT 1) AS next
), rated AS (
  (SELECT lane FROM carrel_rates WHERE state = 2 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT next.lane
    FROM rated,
         LATERAL (SELECT r.lane
                    FROM carrel_rates r
                   WHERE r.state = 2 AND r.lane > rated.lane
                   ORDER BY r.lane
                   LIMIT 1) AS next
)sql";

// What a claim may choose from, in one statement: of each lane that has any the best, in
// the order of the lane; under what limit and rate they are. Lanes as all_lanes names
// them.
inline const std::string kCandidates = kEachLane + R"sql(), every AS (
  SELECT 0 AS keyed, queue, kind, '' AS lane FROM lane
  UNION ALL
  SELECT 1, split_part(lane, chr(31), 1), split_part(lane, chr(31), 2), lane FROM limited
  UNION ALL
  SELECT 2, split_part(lane, chr(31), 1), split_part(lane, chr(31), 2), lane FROM rated
), mine AS MATERIALIZED (
  SELECT keyed, queue, kind, lane
    FROM every
   WHERE kind = ANY(ARRAY(SELECT r.name FROM json_to_recordset(:kinds::json)
                              AS r(name text)))
     AND (:queues::text = '[]'
          OR queue = ANY(ARRAY(SELECT r.name FROM json_to_recordset(:queues::json)
                                  AS r(name text))))
     AND queue NOT IN (SELECT queue FROM carrel_paused)
)
SELECT mine.queue, mine.kind, best.priority, best.run_at, best.id, '', ''
  FROM mine,
       LATERAL (SELECT id, priority, run_at
                  FROM carrel_jobs
                 WHERE state = 2 AND queue = mine.queue AND kind = mine.kind
                   AND (expires_at IS NULL OR expires_at > :now::bigint)
                 ORDER BY priority, run_at, id
                 LIMIT :most) AS best
 WHERE mine.keyed = 0
UNION ALL
SELECT mine.lane, '', 0, best.run_at, best.job, best.limit_key, ''
  FROM mine,
       LATERAL (SELECT job, run_at, limit_key
                  FROM carrel_limits
                 WHERE state = 2 AND lane = mine.lane
                   AND coalesce((SELECT j.expires_at > :now::bigint
                                   FROM carrel_jobs j
                                  WHERE j.id = job), true)
                 ORDER BY run_at, job
                 LIMIT :most) AS best
 WHERE mine.keyed = 1
UNION ALL
SELECT mine.lane, '', 0, best.run_at, best.job, best.limit_key, best.rate_key
  FROM mine,
       LATERAL (SELECT r.job, r.run_at, coalesce(l.limit_key, '') AS limit_key, r.rate_key
                  FROM carrel_rates r
                  JOIN carrel_jobs j ON j.id = r.job AND j.state = 18
                  LEFT JOIN carrel_limits l ON l.job = r.job
                 WHERE r.state = 2 AND r.lane = mine.lane
                   AND (j.expires_at IS NULL OR j.expires_at > :now::bigint)
                 ORDER BY r.run_at, r.job
                 LIMIT :most) AS best
 WHERE mine.keyed = 2)sql";

inline constexpr const char* kReadLimits = R"sql(
SELECT job, limit_key, running
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

}  // namespace carrel::sql::postgresql
