// Limits by key; what they mean is in server/limits.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

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
SELECT l.job, l.limit_key, l.running,
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
UPDATE carrel_limits l
   SET state = r.state,
       run_at = coalesce(r.run_at, l.run_at)
  FROM json_to_recordset(:rows::json) AS r(job bigint, state smallint, run_at bigint)
 WHERE l.job = r.job)sql";

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
SELECT job, run_at
  FROM carrel_limits
 WHERE state = 2 AND lane = :lane
 ORDER BY run_at, job
 LIMIT :most)sql";

inline constexpr const char* kReadLimits = R"sql(
SELECT job, limit_key, running
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

}  // namespace carrel::sql::postgresql
