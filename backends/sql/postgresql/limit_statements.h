// Limits by key; what they mean is in server/limits.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::postgresql {

// In an order, so that no statistics make it read all that waits.
inline constexpr const char* kAnyLimits = R"sql(
SELECT count((SELECT id FROM carrel_jobs WHERE state = 18 ORDER BY queue LIMIT 1))::int)sql";

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

// The state of a job is a sub-query wherever rows of a key are counted: of a join, the
// planner might rather look at all that runs for each key.
inline constexpr const char* kLimitsNow = R"sql(
WITH asked AS MATERIALIZED (
  SELECT l.job, l.limit_key, l.running, l.state
    FROM carrel_limits l
    JOIN carrel_jobs j ON j.id = l.job AND j.state = 18
   WHERE l.job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
     AND l.state IN (2, 18)
), counted AS MATERIALIZED (
  SELECT l.limit_key, k.running, k.reserved, coalesce(k.least, 0) AS least
    FROM (SELECT DISTINCT limit_key FROM asked) AS l,
         LATERAL (SELECT count(*) FILTER (WHERE o.stands = 3) AS running,
                         count(*) FILTER (WHERE o.stands = 2) AS reserved,
                         min(o.running) FILTER (WHERE o.stands = 2) AS least
                    FROM (SELECT beside.running,
                                 (SELECT r.state FROM carrel_jobs r WHERE r.id = beside.job)
                                   AS stands
                            FROM carrel_limits beside
                           WHERE beside.limit_key = l.limit_key AND beside.state >= 2
                          OFFSET 0) AS o) AS k
)
SELECT asked.job, asked.limit_key, asked.running, asked.state, counted.running,
       counted.reserved, counted.least
  FROM asked
  JOIN counted ON counted.limit_key = asked.limit_key)sql";

inline constexpr const char* kCountLanes = R"sql(
SELECT r.n, o.lane,
       count(*) FILTER (WHERE o.stands = 3),
       count(*) FILTER (WHERE o.stands = 2),
       coalesce(min(o.running) FILTER (WHERE o.stands = 2), 0),
       count(*) FILTER (WHERE o.stands = 18)
  FROM json_to_recordset(:rows::json) AS r(n int, key text),
       LATERAL (SELECT beside.lane, beside.running,
                       (SELECT j.state FROM carrel_jobs j WHERE j.id = beside.job) AS stands
                  FROM carrel_limits beside
                 WHERE beside.limit_key = r.key AND beside.state >= 2
                OFFSET 0) AS o
 GROUP BY r.n, o.lane)sql";

// By the cast the rows are not sought in the index of all that is available.
inline constexpr const char* kUnreserve = R"sql(
WITH those AS MATERIALIZED (
  SELECT id
    FROM carrel_jobs
   WHERE id = ANY(ARRAY(SELECT l.job
                          FROM json_to_recordset(:rows::json) AS r(limit_key text),
                               LATERAL (SELECT job
                                          FROM carrel_limits
                                         WHERE limit_key = r.limit_key AND state = 2
                                        OFFSET 0) AS l))
     AND state::int = 2
     FOR UPDATE SKIP LOCKED
)
UPDATE carrel_jobs
   SET state = 18
 WHERE id = ANY(ARRAY(SELECT id FROM those))
RETURNING id)sql";

inline constexpr const char* kEndLines = R"sql(
WITH RECURSIVE lines AS (
  SELECT line.n, line.key,
         (SELECT o.lane
            FROM carrel_limits o
           WHERE o.limit_key = line.key AND o.state = 0
           ORDER BY o.lane
           LIMIT 1) AS lane
    FROM json_to_recordset(:rows::json) AS line(n int, key text)
  UNION ALL
  SELECT lines.n, lines.key,
         (SELECT o.lane
            FROM carrel_limits o
           WHERE o.limit_key = lines.key AND o.state = 0 AND o.lane > lines.lane
           ORDER BY o.lane
           LIMIT 1)
    FROM lines
   WHERE lines.lane IS NOT NULL
)
SELECT n, lane, lane FROM lines WHERE lane IS NOT NULL)sql";

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
   SET state = :state::smallint,
       limited = CASE WHEN :state::smallint = 2 THEN 1 ELSE limited END,
       wake_at = expires_at
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 0)sql";

inline constexpr const char* kHoldJobs = R"sql(
UPDATE carrel_jobs
   SET state = 0, wake_at = coalesce(expires_at, 9223372036854775807)
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 18)sql";

// Every lane in which plain jobs are available, each found by one probe of an index,
// however many jobs are in it. It is still open.
inline const std::string kPlainLanes = R"sql(
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
)sql";

// The same, and those of jobs that have to ask for a limit or a rate. The last is still
// open.
inline const std::string kEachLane = kPlainLanes + R"sql(), limited AS (
  (SELECT queue, kind, priority
     FROM carrel_jobs
    WHERE state = 18
    ORDER BY queue, kind, priority
    LIMIT 1)
  UNION ALL
  SELECT next.queue, next.kind, next.priority
    FROM limited,
         LATERAL (SELECT j.queue, j.kind, j.priority
                    FROM carrel_jobs j
                   WHERE j.state = 18
                     AND (j.queue, j.kind, j.priority) >
                         (limited.queue, limited.kind, limited.priority)
                   ORDER BY j.queue, j.kind, j.priority
                   LIMIT 1) AS next
)sql";

inline const std::string kLimitedLanes = kEachLane + R"sql()
SELECT queue || chr(31) || kind || chr(31) || priority
  FROM limited
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

inline constexpr const char* kBestOfLimited = R"sql(
SELECT j.id, j.run_at, coalesce(l.limit_key, ''), coalesce(r.rate_key, '')
  FROM carrel_jobs j
  LEFT JOIN carrel_limits l ON l.job = j.id
  LEFT JOIN carrel_rates r ON r.job = j.id
 WHERE j.state = 18
   AND j.queue = split_part(:lane::text, chr(31), 1)
   AND j.kind = split_part(:lane::text, chr(31), 2)
   AND j.priority = split_part(:lane::text, chr(31), 3)::smallint
   AND (j.expires_at IS NULL OR j.expires_at > :now::bigint)
 ORDER BY j.run_at, j.id
 LIMIT :most)sql";

// What a claim may choose from, in one statement: of each lane that has any the best, in
// the order of the lane; under what limit and rate they are. Lanes as all_lanes names
// them.
inline const std::string kCandidates = kEachLane + R"sql(), every AS (
  SELECT queue, kind, NULL::smallint AS priority FROM lane
  UNION ALL
  SELECT queue, kind, priority FROM limited
), mine AS MATERIALIZED (
  SELECT queue, kind, priority
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
 WHERE mine.priority IS NULL
UNION ALL
SELECT mine.queue || chr(31) || mine.kind || chr(31) || mine.priority, '', 0,
       best.run_at, best.id, best.limit_key, best.rate_key
  FROM mine,
       LATERAL (SELECT j.id, j.run_at, coalesce(l.limit_key, '') AS limit_key,
                       coalesce(r.rate_key, '') AS rate_key
                  FROM carrel_jobs j
                  LEFT JOIN carrel_limits l ON l.job = j.id
                  LEFT JOIN carrel_rates r ON r.job = j.id
                 WHERE j.state = 18 AND j.queue = mine.queue AND j.kind = mine.kind
                   AND j.priority = mine.priority
                   AND (j.expires_at IS NULL OR j.expires_at > :now::bigint)
                 ORDER BY j.run_at, j.id
                 LIMIT :most) AS best
 WHERE mine.priority IS NOT NULL)sql";

inline constexpr const char* kReadLimits = R"sql(
SELECT job, limit_key, running
  FROM carrel_limits
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

}  // namespace carrel::sql::postgresql
