// For a host's transaction that is REPEATABLE READ or SERIALIZABLE: it sees what there
// was when it first read, and no statement shows it more. But one that would lock a row
// which somebody has changed since fails (40001), and so tells that there is more to see.
// Only for statements.cc, whose head says what to mind.
#pragma once

namespace carrel::sql::postgresql {

// SHARE: KEY SHARE would pass by a row whose state has changed. What somebody is about to
// change is passed over: this comes before that.
inline constexpr const char* kCheckHolders = R"sql(
WITH asked AS MATERIALIZED (
  SELECT json_array_elements_text(:ids::json)::bigint AS id
), active AS MATERIALIZED (
  SELECT id
    FROM carrel_jobs
   WHERE id = ANY(ARRAY(SELECT id FROM asked))
     FOR SHARE SKIP LOCKED
), ended AS MATERIALIZED (
  SELECT id
    FROM carrel_history
   WHERE id = ANY(ARRAY(SELECT id FROM asked))
     FOR SHARE SKIP LOCKED
)
SELECT (SELECT count(*) FROM active) + (SELECT count(*) FROM ended))sql";

}  // namespace carrel::sql::postgresql
