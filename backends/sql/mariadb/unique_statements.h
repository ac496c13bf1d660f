// Unique keys; what they mean is in server/unique.cc.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::mariadb {

inline constexpr const char* kLockKeys = R"sql(
INSERT INTO carrel_unique (`key`, job, enqueued_at, until)
SELECT UNHEX(r.`key`), 0, 0, 0
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (`key` LONGTEXT PATH '$.key')) AS r
    ON DUPLICATE KEY UPDATE job = carrel_unique.job)sql";

inline constexpr const char* kFindHolders = R"sql(
SELECT STRAIGHT_JOIN HEX(u.`key`), u.job, u.enqueued_at,
       COALESCE(u.state, j.state, h.state, 8), COALESCE(j.queue, ''),
       COALESCE(j.kind, ''), COALESCE(j.priority, 0)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (`key` LONGTEXT PATH '$.key')) AS r
  JOIN carrel_unique AS u ON u.`key` = UNHEX(r.`key`)
  LEFT JOIN carrel_jobs AS j ON j.id = u.job
  LEFT JOIN carrel_history AS h ON h.id = u.job)sql";

inline constexpr const char* kHoldKeys = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         `key` LONGTEXT PATH '$.key',
         job BIGINT PATH '$.job',
         until BIGINT PATH '$.until')) AS r
  STRAIGHT_JOIN carrel_unique AS u FORCE INDEX (PRIMARY) ON u.`key` = UNHEX(r.`key`)
   SET u.job = r.job, u.enqueued_at = :now, u.until = r.until, u.state = NULL)sql";

inline constexpr const char* kLeaveKeys = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         now BIGINT PATH '$.now')) AS r
  STRAIGHT_JOIN carrel_unique AS u FORCE INDEX (carrel_unique_job) ON u.job = r.id
   SET u.state = r.state
 WHERE u.until > r.now)sql";

inline constexpr const char* kFreeKeys = R"sql(
DELETE u
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         now BIGINT PATH '$.now')) AS r
  STRAIGHT_JOIN carrel_unique AS u FORCE INDEX (carrel_unique_job) ON u.job = r.id
 WHERE u.until <= r.now)sql";

inline constexpr const char* kForgetKeys = R"sql(
DELETE u
  FROM (SELECT `key`
          FROM carrel_unique FORCE INDEX (carrel_unique_left)
         WHERE state IN (5, 6, 7) AND until <= :now
         LIMIT :most
           FOR UPDATE SKIP LOCKED) AS r
  STRAIGHT_JOIN carrel_unique AS u FORCE INDEX (PRIMARY) ON u.`key` = r.`key`)sql";

inline constexpr const char* kNames = R"sql(
SELECT STRAIGHT_JOIN u.job
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_unique AS u FORCE INDEX (carrel_unique_job) ON u.job = r.id
UNION ALL
SELECT STRAIGHT_JOIN q.job
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_requests AS q FORCE INDEX (job) ON q.job = r.id)sql";

inline constexpr const char* kTryNames = R"sql(
(SELECT STRAIGHT_JOIN u.job
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_unique AS u FORCE INDEX (carrel_unique_job) ON u.job = r.id
   FOR UPDATE SKIP LOCKED)
UNION ALL
(SELECT STRAIGHT_JOIN q.job
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_requests AS q FORCE INDEX (job) ON q.job = r.id
   FOR UPDATE SKIP LOCKED))sql";

inline constexpr const char* kReadKeys = R"sql(
SELECT STRAIGHT_JOIN u.job, HEX(u.`key`)
  FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  JOIN carrel_unique AS u ON u.job = r.id
 WHERE u.state IS NULL)sql";

inline constexpr const char* kReplacePayloads = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         payload LONGTEXT PATH '$.payload')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.payload = UNHEX(r.payload))sql";

inline constexpr const char* kDropPayloads = R"sql(
DELETE p
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_payloads AS p FORCE INDEX (PRIMARY) ON p.job = r.id)sql";

inline constexpr const char* kForgetCheckpoints = R"sql(
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_notes AS n FORCE INDEX (PRIMARY) ON n.job = r.id
   SET n.checkpoint = '')sql";

}  // namespace carrel::sql::mariadb
