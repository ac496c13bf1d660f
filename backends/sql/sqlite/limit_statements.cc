// Limits by key; what they mean is in limits.h.
#include "statements.h"

namespace carrel::sql::sqlite::statements {

const char* const kAnyLimited = R"sql(
SELECT EXISTS (SELECT 1 FROM carrel_limits), EXISTS (SELECT 1 FROM carrel_rates))sql";

const char* const kAnyAvailableLimited = R"sql(
SELECT EXISTS (SELECT 1 FROM carrel_limits WHERE state = 2)
       OR EXISTS (SELECT 1 FROM carrel_rates WHERE state = 2))sql";

const char* const kAddLimited = R"sql(
INSERT INTO carrel_limits
       (job, key, running, state, reserved, queue, kind, priority, run_at)
VALUES (:job, :key, :running, :state, :reserved, :queue, :kind, :priority,
        :run_at))sql";

const char* const kFindLimited = R"sql(
SELECT key, running FROM carrel_limits WHERE job = :job)sql";

const char* const kFindAvailableLimited = R"sql(
SELECT l.job, l.key, l.running,
       EXISTS (SELECT 1 FROM carrel_limits AS r WHERE r.key = l.key AND r.state = 3)
  FROM json_each(:ids) AS asked
 CROSS JOIN carrel_limits AS l ON l.job = asked.value AND +l.state = 2)sql";

// Of the keys that those have; the list of keys is made once, and each is counted once.
const char* const kCountRunningOfKeys = R"sql(
SELECT key, count(*)
  FROM carrel_limits
 WHERE key IN (SELECT key
                 FROM carrel_limits
                WHERE job IN (SELECT value FROM json_each(:ids)) AND +state = 2)
   AND state = 3
 GROUP BY key)sql";

const char* const kStartLimited = R"sql(
UPDATE carrel_limits
   SET state = 3
 WHERE job IN (SELECT value FROM json_each(:ids)) AND +state = 2)sql";

const char* const kSetLimited = R"sql(
UPDATE carrel_limits
   SET state = :state, reserved = :reserved, run_at = :run_at
 WHERE job = :job)sql";

// What a job of :queue, :kind and :priority that wants to run meets of its key.
const char* const kLookAtLine = R"sql(
SELECT count(*),
       coalesce(sum(reserved AND (queue <> :queue OR kind <> :kind
                                  OR priority <> :priority)), 0),
       coalesce(sum(reserved AND running <> :running), 0),
       EXISTS (SELECT 1 FROM carrel_limits WHERE key = :key AND state = 2)
  FROM carrel_limits
 WHERE key = :key AND state = 3)sql";

// Whether such a job has been claimed since is not written down here.
const char* const kUnreserve = R"sql(
UPDATE carrel_limits
   SET reserved = 0,
       state = (SELECT CASE j.state WHEN 2 THEN 2 ELSE 3 END
                  FROM carrel_jobs AS j
                 WHERE j.id = job)
 WHERE key = :key AND state = 3 AND reserved = 1)sql";

const char* const kCountAvailableOfKey = R"sql(
SELECT count(*)
  FROM carrel_limits
 WHERE key = :key AND state = 2
   AND queue = :queue AND kind = :kind AND priority = :priority)sql";

const char* const kNextPriorityOfKey = R"sql(
SELECT priority
  FROM carrel_limits
 WHERE key = :key AND state = 0 AND queue = :queue AND kind = :kind
   AND priority > :priority
 ORDER BY priority
 LIMIT 1)sql";

const char* const kNextKindOfKey = R"sql(
SELECT kind, priority
  FROM carrel_limits
 WHERE key = :key AND state = 0 AND queue = :queue AND kind > :kind
 ORDER BY kind, priority
 LIMIT 1)sql";

const char* const kNextQueueOfKey = R"sql(
SELECT queue, kind, priority
  FROM carrel_limits
 WHERE key = :key AND state = 0 AND queue > :queue
 ORDER BY queue, kind, priority
 LIMIT 1)sql";

// Of the next 256 in line, those whose own limits let them run beside :ahead others.
const char* const kPendingOfKey = R"sql(
SELECT job, running
  FROM (SELECT job, running
          FROM carrel_limits
         WHERE key = :key AND state = 0
           AND queue = :queue AND kind = :kind AND priority = :priority
         ORDER BY run_at, job
         LIMIT 256)
 WHERE running > :ahead
 LIMIT :most)sql";

const char* const kDeleteLimits = R"sql(
DELETE FROM carrel_limits WHERE job IN (SELECT value FROM json_each(:ids)))sql";

const char* const kReadLimit = R"sql(
SELECT key, running FROM carrel_limits WHERE job = :id)sql";

const char* const kRenameLimited = R"sql(
UPDATE carrel_limits SET key = :key, running = :running WHERE job = :job)sql";

}  // namespace carrel::sql::sqlite::statements
