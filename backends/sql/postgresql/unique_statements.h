// Unique keys; what they mean is in server/unique.cc.
// Only for statements.cc, whose head says what to mind.
#pragma once

#include <string>

namespace carrel::sql::postgresql {

// DO UPDATE, which changes nothing, locks those that are there.
inline constexpr const char* kLockKeys = R"sql(
INSERT INTO carrel_unique (key, job, enqueued_at, until)
SELECT decode(r.key, 'hex'), 0, 0, 0
  FROM (SELECT key FROM json_to_recordset(:rows::json) AS r(key text) ORDER BY key) AS r
    ON CONFLICT (key) DO UPDATE SET job = carrel_unique.job)sql";

inline constexpr const char* kFindHolders = R"sql(
SELECT encode(u.key, 'hex'), u.job, u.enqueued_at,
       coalesce(u.state, j.state, h.state, 8), coalesce(j.queue, ''),
       coalesce(j.kind, ''), coalesce(j.priority, 0)
  FROM carrel_unique u
  LEFT JOIN carrel_jobs j ON j.id = u.job
  LEFT JOIN carrel_history h ON h.id = u.job
 WHERE u.key = ANY(ARRAY(SELECT decode(r.key, 'hex')
                           FROM json_to_recordset(:rows::json) AS r(key text))))sql";

inline constexpr const char* kHoldKeys = R"sql(
UPDATE carrel_unique u
   SET job = r.job, enqueued_at = :now::bigint, until = r.until, state = NULL
  FROM json_to_recordset(:rows::json) AS r(key text, job bigint, until bigint)
 WHERE u.key = decode(r.key, 'hex')
   AND u.key = ANY(ARRAY(SELECT decode(a.key, 'hex')
                           FROM json_to_recordset(:rows::json) AS a(key text))))sql";

inline constexpr const char* kLeaveKeys = R"sql(
WITH asked AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(id bigint, state smallint, now bigint)
), left_behind AS (
  UPDATE carrel_unique u
     SET state = asked.state
    FROM asked
   WHERE u.job = ANY(ARRAY(SELECT id FROM asked)) AND u.job = asked.id
     AND u.until > asked.now
)
DELETE FROM carrel_unique u
 USING asked
 WHERE u.job = ANY(ARRAY(SELECT id FROM asked)) AND u.job = asked.id
   AND u.until <= asked.now)sql";

inline constexpr const char* kForgetKeys = R"sql(
DELETE FROM carrel_unique
 WHERE key = ANY(ARRAY(SELECT key
                         FROM carrel_unique
                        WHERE state IS NOT NULL AND until <= :now::bigint
                        LIMIT :most
                          FOR UPDATE SKIP LOCKED)))sql";

// An enqueue of a known request locks nothing.
inline constexpr const char* kNames = R"sql(
SELECT job
  FROM carrel_unique
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint)))sql";

inline const std::string kTryNames = std::string(kNames) + " FOR UPDATE SKIP LOCKED";

inline constexpr const char* kReadKeys = R"sql(
SELECT job, encode(key, 'hex')
  FROM carrel_unique
 WHERE job = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state IS NULL)sql";

inline constexpr const char* kReplacePayloads = R"sql(
WITH asked AS MATERIALIZED (
  SELECT * FROM json_to_recordset(:rows::json) AS r(id bigint, payload text)
), payloads AS (
  DELETE FROM carrel_payloads WHERE job = ANY(ARRAY(SELECT id FROM asked))
), notes AS (
  UPDATE carrel_notes SET checkpoint = '' WHERE job = ANY(ARRAY(SELECT id FROM asked))
)
UPDATE carrel_jobs j
   SET payload = decode(asked.payload, 'hex')
  FROM asked
 WHERE j.id = ANY(ARRAY(SELECT id FROM asked)) AND j.id = asked.id)sql";

}  // namespace carrel::sql::postgresql
