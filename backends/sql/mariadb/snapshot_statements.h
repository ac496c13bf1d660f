// For a host's transaction that is not READ COMMITTED: its plain reads show what there
// was when it first read, or what nobody has committed, its locking reads what there is.
// They also lock gaps, in which nobody else can insert then: so nothing is looked for in
// this way that may be missing where others insert. Only for statements.cc, whose head
// says what to mind.
#pragma once

namespace carrel::sql::mariadb {

// Its job may be too new to be seen: the ticket, a hint, is left out.
inline constexpr const char* kFindRequestsNow = R"sql(
SELECT STRAIGHT_JOIN HEX(q.request_id), q.job, 0, '', '', 0
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         request_id LONGTEXT PATH '$.request_id')) AS r
  JOIN carrel_requests AS q ON q.request_id = UNHEX(r.request_id)
  LOCK IN SHARE MODE)sql";

inline constexpr const char* kFindHoldersNow = R"sql(
SELECT STRAIGHT_JOIN HEX(u.`key`), u.job, u.enqueued_at, COALESCE(u.state, 8),
       (SELECT COUNT(*) FROM carrel_history AS h WHERE h.id = u.job)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (`key` LONGTEXT PATH '$.key')) AS r
  JOIN carrel_unique AS u FORCE INDEX (PRIMARY) ON u.`key` = UNHEX(r.`key`)
   FOR UPDATE)sql";

inline constexpr const char* kLimitKeysNow = R"sql(
(SELECT STRAIGHT_JOIN l.job, l.limit_key, 0
   FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
   JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
    AND (j.state <> 2 OR j.limited = 1)
   JOIN carrel_limits AS l FORCE INDEX (PRIMARY) ON l.job = j.id
   FOR UPDATE)
UNION ALL
(SELECT STRAIGHT_JOIN l.job, l.rate_key, 1
   FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
   JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id AND j.state <> 2
   JOIN carrel_rates AS l FORCE INDEX (PRIMARY) ON l.job = j.id
   FOR UPDATE))sql";

// As kEndLines of the key's collation.
inline constexpr const char* kEndLinesNow = R"sql(
SELECT line.n,
       COALESCE((SELECT o.lane
                   FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
                  WHERE o.limit_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane
                  LIMIT 1
                    FOR UPDATE), ''),
       COALESCE((SELECT o.lane
                   FROM carrel_limits AS o FORCE INDEX (carrel_limits_line)
                  WHERE o.limit_key = CAST(line.`key` AS BINARY) AND o.state = 0
                  ORDER BY o.lane DESC
                  LIMIT 1
                    FOR UPDATE), '')
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         n INT PATH '$.n',
         `key` VARCHAR(512) CHARACTER SET utf8mb4
               COLLATE utf8mb4_nopad_bin PATH '$.key')) AS line)sql";

inline constexpr const char* kNextLineNow = R"sql(
SELECT lane
  FROM carrel_limits FORCE INDEX (carrel_limits_line)
 WHERE limit_key = :key AND state = 0 AND lane > :lane AND lane < :last
 ORDER BY lane
 LIMIT 1
   FOR UPDATE)sql";

// A rate is left out: the claim asks for it.
inline constexpr const char* kPendingOfLineNow = R"sql(
SELECT STRAIGHT_JOIN l.job, l.running, '', 0, 0
  FROM carrel_limits AS l FORCE INDEX (carrel_limits_line)
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = l.job AND j.state = 0
 WHERE l.limit_key = :limit_key AND l.state = 0 AND l.lane = :lane
 ORDER BY l.run_at, l.job
 LIMIT :most
  FOR UPDATE)sql";

}  // namespace carrel::sql::mariadb
