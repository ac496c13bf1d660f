// Rates by key; what they mean is in server/rates.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::mariadb {

inline constexpr const char* kRatesNow = R"sql(
SELECT STRAIGHT_JOIN l.job, l.rate_key, l.starts, l.period_us,
       (SELECT COUNT(*)
          FROM carrel_starts AS s FORCE INDEX (PRIMARY)
         WHERE s.rate_key = l.rate_key AND s.begun_at > :now - l.period_us)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_rates AS l FORCE INDEX (PRIMARY) ON l.job = r.id
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id AND j.state = 18)sql";

// A range that hangs on another table's row is not sought: all that waits would be read.
// As kEndLines of the key's collation.
inline constexpr const char* kEndRateLines = R"sql(
SELECT line.n,
       COALESCE((SELECT o.lane
                   FROM carrel_rates AS o FORCE INDEX (carrel_rates_line)
                  WHERE o.rate_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane
                  LIMIT 1), ''),
       COALESCE((SELECT o.lane
                   FROM carrel_rates AS o FORCE INDEX (carrel_rates_line)
                  WHERE o.rate_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane DESC
                  LIMIT 1), '')
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         `key` VARCHAR(512) CHARACTER SET utf8mb4
               COLLATE utf8mb4_nopad_bin PATH '$.key')) AS line)sql";

inline constexpr const char* kNextRateLine = R"sql(
SELECT lane
  FROM carrel_rates FORCE INDEX (carrel_rates_line)
 WHERE rate_key = :key AND state = 0 AND lane > :lane AND lane < :last
 ORDER BY lane
 LIMIT 1)sql";

inline constexpr const char* kWaitingOfRate = R"sql(
SELECT STRAIGHT_JOIN r.job, r.starts, r.period_us, COALESCE(l.limit_key, ''),
       COALESCE(l.running, 0)
  FROM carrel_rates AS r FORCE INDEX (carrel_rates_line)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.job AND j.state = 0
  LEFT JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = r.job
 WHERE r.rate_key = :rate_key AND r.state = 0 AND r.lane = :lane
 ORDER BY r.run_at, r.job
 LIMIT :most)sql";

inline constexpr const char* kCountStarts = R"sql(
SELECT COUNT(*) FROM carrel_starts WHERE rate_key = :rate_key AND begun_at > :after)sql";

inline constexpr const char* kCountRateLine = R"sql(
SELECT STRAIGHT_JOIN COUNT(*)
  FROM carrel_rates AS r FORCE INDEX (carrel_rates_line)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.job AND j.state = 18
 WHERE r.rate_key = :rate_key AND r.state = 2 AND r.lane = :lane)sql";

inline constexpr const char* kNewestStart = R"sql(
SELECT begun_at
  FROM carrel_starts
 WHERE rate_key = :rate_key
 ORDER BY begun_at DESC
 LIMIT 1 OFFSET :newer)sql";

inline constexpr const char* kAddRates = R"sql(
INSERT INTO carrel_rates (job, run_at, period_us, starts, state, rate_key, lane)
SELECT r.job, r.run_at, r.period, r.starts, r.state, r.rate_key, r.lane
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         run_at BIGINT PATH '$.run_at',
         period BIGINT PATH '$.period',
         starts BIGINT PATH '$.starts',
         state SMALLINT PATH '$.state',
         rate_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.rate_key',
         lane VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.lane')) AS r)sql";

inline constexpr const char* kSetRates = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         state SMALLINT PATH '$.state',
         run_at BIGINT PATH '$.run_at')) AS r
  STRAIGHT_JOIN carrel_rates AS t FORCE INDEX (PRIMARY) ON t.job = r.job
   SET t.state = r.state,
       t.run_at = COALESCE(r.run_at, t.run_at))sql";

inline constexpr const char* kAddStarts = R"sql(
INSERT INTO carrel_starts (rate_key, begun_at, job, fence)
SELECT r.rate_key, r.at_us, r.job, r.fence
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         rate_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.rate_key',
         at_us BIGINT PATH '$.at',
         job BIGINT PATH '$.job',
         fence BIGINT PATH '$.fence')) AS r)sql";

inline constexpr const char* kWakeRates = R"sql(
INSERT INTO carrel_rate_keys (rate_key, period_us, wake_at)
SELECT r.rate_key, r.period, r.wake_at
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         rate_key VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.rate_key',
         period BIGINT PATH '$.period',
         wake_at BIGINT PATH '$.wake_at')) AS r
    ON DUPLICATE KEY UPDATE
       period_us = GREATEST(period_us, VALUES(period_us)),
       wake_at = LEAST(carrel_rate_keys.wake_at, VALUES(wake_at)))sql";

inline constexpr const char* kDueRates = R"sql(
SELECT rate_key
  FROM carrel_rate_keys FORCE INDEX (carrel_rate_keys_wake)
 WHERE wake_at <= :now
 ORDER BY wake_at
 LIMIT :most)sql";

inline constexpr const char* kTakeStartBack = R"sql(
DELETE FROM carrel_starts
 WHERE rate_key = :rate_key AND begun_at = :begun_at AND job = :id AND fence = :fence)sql";

inline constexpr const char* kForgetStarts = R"sql(
DELETE FROM carrel_starts WHERE rate_key = :rate_key AND begun_at <= :until)sql";

inline constexpr const char* kRateInUse = R"sql(
SELECT CASE WHEN EXISTS (SELECT 1 FROM carrel_starts AS s WHERE s.rate_key = k.rate_key)
            THEN 2
            WHEN EXISTS (SELECT 1 FROM carrel_rates AS r WHERE r.rate_key = k.rate_key)
            THEN 1 ELSE 0 END
  FROM carrel_rate_keys AS k
 WHERE k.rate_key = :rate_key)sql";

inline constexpr const char* kReadRates = R"sql(
SELECT STRAIGHT_JOIN l.job, l.rate_key, l.starts, l.period_us
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_rates AS l FORCE INDEX (PRIMARY) ON l.job = r.id)sql";

}  // namespace carrel::sql::mariadb
