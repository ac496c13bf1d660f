// Rates by key; what they mean is in rates.h.
#include "statements.h"

namespace carrel::sql::sqlite::statements {

const char* const kAddRated = R"sql(
INSERT INTO carrel_rates (job, key, starts, period, state, lane, run_at)
VALUES (:job, :key, :starts, :period, :state, :lane, :run_at))sql";

const char* const kDropRated = "DELETE FROM carrel_rates WHERE job = :job";

const char* const kDeleteRates = R"sql(
DELETE FROM carrel_rates WHERE job IN (SELECT value FROM json_each(:ids)))sql";

const char* const kFindRated = R"sql(
SELECT key, starts, period FROM carrel_rates WHERE job = :job)sql";

const char* const kFindAvailableRated = R"sql(
SELECT job, key, starts, period
  FROM carrel_rates
 WHERE job IN (SELECT value FROM json_each(:ids)) AND +state = 2)sql";

const char* const kSetRated = R"sql(
UPDATE carrel_rates SET state = :state, run_at = :run_at WHERE job = :job)sql";

const char* const kCountStarts = R"sql(
SELECT count(*) FROM carrel_starts WHERE key = :key AND at > :after)sql";

const char* const kCountAvailableOfRate = R"sql(
SELECT count(*)
  FROM carrel_rates
 WHERE key = :key AND state = 2 AND lane = :lane)sql";

const char* const kNewestStart = R"sql(
SELECT at FROM carrel_starts WHERE key = :key ORDER BY at DESC LIMIT 1 OFFSET :newer)sql";

const char* const kAddStart = R"sql(
INSERT INTO carrel_starts (key, at, job, fence) VALUES (:key, :at, :job, :fence))sql";

const char* const kTakeStartBack = R"sql(
DELETE FROM carrel_starts
 WHERE key = :key AND at = :at AND job = :job AND fence = :fence)sql";

const char* const kNextLaneOfRate = R"sql(
SELECT lane
  FROM carrel_rates
 WHERE key = :key AND state = 0 AND lane > :lane
 ORDER BY lane
 LIMIT 1)sql";

const char* const kWaitingOfRate = R"sql(
SELECT job, starts, period
  FROM carrel_rates
 WHERE key = :key AND state = 0 AND lane = :lane
 ORDER BY run_at, job
 LIMIT :most)sql";

// Only ever earlier: a key in constant use is not written for every start.
const char* const kWakeRate = R"sql(
INSERT INTO carrel_rate_keys (key, period, wake_at) VALUES (:key, :period, :wake_at)
    ON CONFLICT (key) DO UPDATE
   SET period = max(period, excluded.period),
       wake_at = min(wake_at, excluded.wake_at)
 WHERE period < excluded.period OR wake_at > excluded.wake_at)sql";

const char* const kDueRates = R"sql(
SELECT key FROM carrel_rate_keys WHERE wake_at <= :now ORDER BY wake_at LIMIT :most)sql";

const char* const kPeriodOfRate = R"sql(
SELECT period FROM carrel_rate_keys WHERE key = :key)sql";

const char* const kForgetStarts = R"sql(
DELETE FROM carrel_starts WHERE key = :key AND at <= :until)sql";

const char* const kAnyStart = R"sql(
SELECT at FROM carrel_starts WHERE key = :key LIMIT 1)sql";

const char* const kAnyOfRate = R"sql(
SELECT job FROM carrel_rates WHERE key = :key LIMIT 1)sql";

const char* const kSetRateWake = R"sql(
UPDATE carrel_rate_keys SET wake_at = :wake_at WHERE key = :key)sql";

const char* const kDropRateKey = "DELETE FROM carrel_rate_keys WHERE key = :key";

const char* const kNextRate = R"sql(
SELECT wake_at FROM carrel_rate_keys ORDER BY wake_at LIMIT 1)sql";

const char* const kReadRate = R"sql(
SELECT key, starts, period FROM carrel_rates WHERE job = :id)sql";

}  // namespace carrel::sql::sqlite::statements
