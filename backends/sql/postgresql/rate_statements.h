// Rates by key; what they mean is in server/rates.h.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::postgresql {

inline constexpr const char* kRatesNow = R"sql(
SELECT r.job, r.rate_key, r.starts, r.period_us,
       (SELECT count(*)
          FROM carrel_starts s
         WHERE s.rate_key = r.rate_key AND s.begun_at > :now::bigint - r.period_us)
  FROM carrel_rates r
  JOIN carrel_jobs j ON j.id = r.job AND j.state = 18
 WHERE r.job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

inline constexpr const char* kEndRateLines = R"sql(
WITH RECURSIVE lines AS (
  SELECT line.n, line.key,
         (SELECT o.lane
            FROM carrel_rates o
           WHERE o.rate_key = line.key AND o.state = 0
           ORDER BY o.lane
           LIMIT 1) AS lane
    FROM json_to_recordset(:rows::json) AS line(n int, key text)
  UNION ALL
  SELECT lines.n, lines.key,
         (SELECT o.lane
            FROM carrel_rates o
           WHERE o.rate_key = lines.key AND o.state = 0 AND o.lane > lines.lane
           ORDER BY o.lane
           LIMIT 1)
    FROM lines
   WHERE lines.lane IS NOT NULL
)
SELECT n, lane, lane FROM lines WHERE lane IS NOT NULL)sql";

inline constexpr const char* kWaitingOfRate = R"sql(
SELECT r.job, r.starts, r.period_us, coalesce(l.limit_key, ''), coalesce(l.running, 0)
  FROM carrel_rates r
  JOIN carrel_jobs j ON j.id = r.job AND j.state = 0
  LEFT JOIN carrel_limits l ON l.job = r.job
 WHERE r.rate_key = :rate_key AND r.state = 0 AND r.lane = :lane
 ORDER BY r.run_at, r.job
 LIMIT :most)sql";

inline constexpr const char* kCountStarts = R"sql(
SELECT count(*) FROM carrel_starts WHERE rate_key = :rate_key AND begun_at > :after)sql";

inline constexpr const char* kCountRateLine = R"sql(
SELECT count(*)
  FROM carrel_rates r
  JOIN carrel_jobs j ON j.id = r.job AND j.state = 18
 WHERE r.rate_key = :rate_key AND r.state = 2 AND r.lane = :lane)sql";

inline constexpr const char* kNewestStart = R"sql(
SELECT begun_at
  FROM carrel_starts
 WHERE rate_key = :rate_key
 ORDER BY begun_at DESC
 LIMIT 1 OFFSET :newer)sql";

inline constexpr const char* kAddRates = R"sql(
INSERT INTO carrel_rates (job, run_at, period_us, starts, state, rate_key, lane)
SELECT job, run_at, period, starts, state, rate_key, lane
  FROM json_to_recordset(:rows::json) AS r(
       job bigint, run_at bigint, period bigint, starts bigint, state smallint,
       rate_key text, lane text))sql";

inline constexpr const char* kSetRates = R"sql(
WITH r AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(job bigint, state smallint, run_at bigint)
)
UPDATE carrel_rates t
   SET state = r.state,
       run_at = coalesce(r.run_at, t.run_at)
  FROM r
 WHERE t.job = r.job AND t.job = ANY(ARRAY(SELECT job FROM r)))sql";

inline constexpr const char* kAddStarts = R"sql(
INSERT INTO carrel_starts (rate_key, begun_at, job, fence)
SELECT rate_key, at, job, fence
  FROM json_to_recordset(:rows::json) AS r(
       rate_key text, at bigint, job bigint, fence bigint))sql";

// Only ever earlier: a key in constant use is not written for every start.
inline constexpr const char* kWakeRates = R"sql(
INSERT INTO carrel_rate_keys AS k (rate_key, period_us, wake_at)
SELECT rate_key, period, wake_at
  FROM json_to_recordset(:rows::json) AS r(rate_key text, period bigint, wake_at bigint)
 ORDER BY rate_key
    ON CONFLICT (rate_key) DO UPDATE
   SET period_us = greatest(k.period_us, excluded.period_us),
       wake_at = least(k.wake_at, excluded.wake_at)
 WHERE k.period_us < excluded.period_us OR k.wake_at > excluded.wake_at)sql";

inline constexpr const char* kDueRates = R"sql(
SELECT rate_key
  FROM carrel_rate_keys
 WHERE wake_at <= :now
 ORDER BY wake_at
 LIMIT :most)sql";

inline constexpr const char* kTakeStartBack = R"sql(
DELETE FROM carrel_starts
 WHERE rate_key = :rate_key AND begun_at = :begun_at AND job = :id AND fence = :fence)sql";

inline constexpr const char* kForgetStarts = R"sql(
DELETE FROM carrel_starts WHERE rate_key = :rate_key AND begun_at <= :until)sql";

inline constexpr const char* kRateInUse = R"sql(
SELECT CASE WHEN EXISTS (SELECT 1 FROM carrel_starts WHERE rate_key = k.rate_key) THEN 2
            WHEN EXISTS (SELECT 1 FROM carrel_rates WHERE rate_key = k.rate_key) THEN 1
            ELSE 0 END
  FROM carrel_rate_keys k
 WHERE k.rate_key = :rate_key)sql";

inline constexpr const char* kReadRates = R"sql(
SELECT job, rate_key, starts, period_us
  FROM carrel_rates
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

}  // namespace carrel::sql::postgresql
