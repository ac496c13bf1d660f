// Limits by key; what they mean is in server/limits.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::mariadb {

inline constexpr const char* kAnyLimits = R"sql(
SELECT EXISTS (SELECT 1 FROM carrel_limits FORCE INDEX (carrel_limits_available)
                WHERE state = 2),
       EXISTS (SELECT 1 FROM carrel_rates FORCE INDEX (carrel_rates_available)
                WHERE state = 2))sql";

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

inline constexpr const char* kTrySlots = R"sql(
SELECT STRAIGHT_JOIN s.slot
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limit_slots AS s FORCE INDEX (PRIMARY) ON s.slot = r.id
   FOR UPDATE SKIP LOCKED)sql";

inline constexpr const char* kLimitsNow = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running, l.state,
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 3
         WHERE o.limit_key = l.limit_key AND o.state = 3), 0, 0
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id AND l.state IN (2, 18)
  JOIN carrel_jobs AS j ON j.id = r.id AND j.state = 18)sql";

inline constexpr const char* kCountLine = R"sql(
SELECT line.n,
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 3
         WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 3),
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 18
         WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 2
           AND o.lane = CAST(line.lane AS BINARY)) +
       (SELECT STRAIGHT_JOIN COUNT(*)
          FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
          JOIN carrel_jobs AS t FORCE INDEX (PRIMARY) ON t.id = o.job AND t.state = 18
         WHERE o.limit_key = CAST(line.limit_key AS BINARY) AND o.state = 18
           AND o.lane = CAST(line.lane AS BINARY)), 0, 0, 0
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         limit_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.limit_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane')) AS line)sql";

// A range that hangs on another table's row is not sought: all that waits would be read.
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
         `key` VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.key')) AS line)sql";

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
       j.wake_at = j.expires_at
 WHERE j.state = 0)sql";

inline constexpr const char* kHoldJobs = R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 0,
       j.wake_at = COALESCE(j.expires_at, 9223372036854775807)
 WHERE j.state = 18)sql";

inline constexpr const char* kLimitedLanes = R"sql(
SELECT lane
  FROM (SELECT lane FROM carrel_limits WHERE state = 2 GROUP BY state, lane) AS found
 WHERE SUBSTRING_INDEX(lane, CHAR(31), 1) NOT IN (SELECT queue FROM carrel_paused))sql";

inline constexpr const char* kBestOfLimited = R"sql(
SELECT l.job, l.run_at, l.limit_key, ''
  FROM carrel_limits AS l
 WHERE l.state = 2 AND l.lane = :lane
   AND COALESCE((SELECT j.expires_at > :now FROM carrel_jobs AS j WHERE j.id = l.job), TRUE)
 ORDER BY l.run_at, l.job
 LIMIT :most)sql";

inline constexpr const char* kReadLimits = R"sql(
SELECT STRAIGHT_JOIN l.job, l.limit_key, l.running
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_limits AS l ON l.job = r.id)sql";

}  // namespace carrel::sql::mariadb
