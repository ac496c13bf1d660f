// Limits by key; what they mean is in server/limits.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::mariadb {

inline constexpr const char* kAnyLimits = R"sql(
SELECT EXISTS (SELECT 1 FROM carrel_jobs FORCE INDEX (carrel_jobs_available)
                WHERE state = 18))sql";

inline constexpr const char* kLimitKeys = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, 0
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = r.id
UNION ALL
SELECT STRAIGHT_JOIN l.job, l.rate_key, 1
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_rates AS l FORCE INDEX (PRIMARY) ON l.job = r.id)sql";

inline constexpr const char* kLockSlots = R"sql(
SELECT STRAIGHT_JOIN s.slot
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limit_slots AS s FORCE INDEX (PRIMARY) ON s.slot = r.id
   FOR UPDATE)sql";

inline const std::string kLockSlotsNow = std::string(kLockSlots) + " NOWAIT";

inline constexpr const char* kTrySlots = R"sql(
SELECT STRAIGHT_JOIN s.slot
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limit_slots AS s FORCE INDEX (PRIMARY) ON s.slot = r.id
   FOR UPDATE SKIP LOCKED)sql";

// Rows of a key are sought by the states that they may have: a range that hangs on
// another table's row is not, and all that waits would be read. Each key is counted once,
// however many of its jobs are asked for.
inline constexpr const char* kLimitsNow = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running, l.state, k.running, k.reserved, k.least
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = r.id AND l.state IN (2, 18)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id AND j.state = 18
  JOIN (SELECT STRAIGHT_JOIN asked.limit_key,
               COUNT(IF(t.state = 3, 1, NULL)) AS running,
               COUNT(IF(t.state = 2, 1, NULL)) AS reserved,
               COALESCE(MIN(IF(t.state = 2, o.running, NULL)), 0) AS least
          FROM (SELECT DISTINCT STRAIGHT_JOIN own.limit_key
                  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
                  JOIN carrel_limits AS own FORCE INDEX (PRIMARY)
                    ON own.job = r.id AND own.state IN (2, 18))
                 AS asked
          JOIN JSON_TABLE('[2, 3, 18]', '$[*]' COLUMNS (state SMALLINT PATH '$')) AS s
          JOIN carrel_limits AS o FORCE INDEX (carrel_limits_line)
            ON o.limit_key = asked.limit_key AND o.state = s.state
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job
         GROUP BY asked.limit_key
         ORDER BY NULL) AS k ON k.limit_key = l.limit_key)sql";

inline constexpr const char* kCountLanes = R"sql(
SELECT STRAIGHT_JOIN r.n, o.lane,
       COUNT(IF(t.state = 3, 1, NULL)),
       COUNT(IF(t.state = 2, 1, NULL)),
       COALESCE(MIN(IF(t.state = 2, o.running, NULL)), 0),
       COUNT(IF(t.state = 18, 1, NULL))
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         `key` VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.key')) AS r
  JOIN JSON_TABLE('[2, 3, 18]', '$[*]' COLUMNS (state SMALLINT PATH '$')) AS s
  JOIN carrel_limits AS o FORCE INDEX (carrel_limits_line)
    ON o.limit_key = CAST(r.`key` AS BINARY) AND o.state = s.state
  JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job
 GROUP BY r.n, o.lane
 ORDER BY NULL)sql";

// What is being claimed is passed over.
inline constexpr const char* kPickReserved = R"sql(
SELECT STRAIGHT_JOIN j.id
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key')) AS r
  JOIN carrel_limits AS l FORCE INDEX (carrel_limits_line)
    ON l.limit_key = CAST(r.limit_key AS BINARY) AND l.state = 2
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = l.job
 WHERE j.state = 2
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kUnreserve = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 18)sql";

// The server remembers what a sub-select gave by the outer column, in its collation; keys
// are bytes.
inline constexpr const char* kEndLines = R"sql(
SELECT line.n,
       COALESCE((SELECT o.lane
                   FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
                  WHERE o.limit_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane
                  LIMIT 1), ''),
       COALESCE((SELECT o.lane
                   FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
                  WHERE o.limit_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane DESC
                  LIMIT 1), '')
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         `key` VARCHAR(512) CHARACTER SET utf8mb4
               COLLATE utf8mb4_nopad_bin PATH '$.key')) AS line)sql";

inline constexpr const char* kNextLine = R"sql(
SELECT lane
  FROM carrel_limits FORCE INDEX (carrel_limits_line)
 WHERE limit_key = :key AND state = 0 AND lane > :lane AND lane < :last
 ORDER BY lane
 LIMIT 1)sql";

inline constexpr const char* kPendingOfLine = R"sql(
SELECT STRAIGHT_JOIN l.job, l.running, COALESCE(r.rate_key, ''), COALESCE(r.starts, 0),
       COALESCE(r.period_us, 0)
  FROM carrel_limits AS l FORCE INDEX (carrel_limits_line)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = l.job AND j.state = 0
  LEFT JOIN carrel_rates AS r FORCE INDEX (PRIMARY) ON r.job = l.job
 WHERE l.limit_key = :limit_key AND l.state = 0 AND l.lane = :lane
 ORDER BY l.run_at, l.job
 LIMIT :most)sql";

inline constexpr const char* kAddLimits = R"sql(
INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)
SELECT r.job, r.limit_key, r.lane, r.run_at, r.running, r.state
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane',
         run_at BIGINT PATH '$.run_at',
         running BIGINT PATH '$.running',
         state SMALLINT PATH '$.state')) AS r)sql";

inline constexpr const char* kSetLimits = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         state SMALLINT PATH '$.state',
         run_at BIGINT PATH '$.run_at')) AS r
  STRAIGHT_JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = r.job
   SET l.state = r.state,
       l.run_at = COALESCE(r.run_at, l.run_at))sql";

inline constexpr const char* kFreeJobs = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = :state,
       j.limited = IF(:state = 2, 1, j.limited),
       j.wake_at = j.expires_at
 WHERE j.state = 0)sql";

inline constexpr const char* kHoldJobs = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 0,
       j.wake_at = COALESCE(j.expires_at, 9223372036854775807)
 WHERE j.state = 18)sql";

inline constexpr const char* kLimitedLanes = R"sql(
SELECT CONCAT_WS(CHAR(31), queue, kind, priority)
  FROM (SELECT queue, kind, priority
          FROM carrel_jobs
         WHERE state = 18
         GROUP BY state, queue, kind, priority) AS lane
 WHERE queue NOT IN (SELECT queue FROM carrel_paused))sql";

inline constexpr const char* kBestOfLimited = R"sql(
SELECT STRAIGHT_JOIN j.id, j.run_at, COALESCE(l.limit_key, ''), COALESCE(r.rate_key, '')
  FROM carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
  LEFT JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = j.id
  LEFT JOIN carrel_rates AS r FORCE INDEX (PRIMARY) ON r.job = j.id
 WHERE j.state = 18
   AND j.queue = SUBSTRING_INDEX(:lane, CHAR(31), 1)
   AND j.kind = SUBSTRING_INDEX(SUBSTRING_INDEX(:lane, CHAR(31), -2), CHAR(31), 1)
   AND j.priority = CAST(SUBSTRING_INDEX(:lane, CHAR(31), -1) AS SIGNED)
   AND (j.expires_at IS NULL OR j.expires_at > :now)
 ORDER BY j.run_at, j.id
 LIMIT :most)sql";

inline constexpr const char* kReadLimits = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id)sql";

}  // namespace carrel::sql::mariadb
