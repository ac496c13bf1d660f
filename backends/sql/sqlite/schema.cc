#include "schema.h"

#include <array>

#include "session.h"
#include "statement.h"

namespace carrel::sql::sqlite {
namespace {

const char* const kVersionTable = R"sql(
CREATE TABLE IF NOT EXISTS carrel_schema (
  version    BIGINT NOT NULL,
  applied_at BIGINT NOT NULL  -- seconds since 1970 UTC
))sql";

// A program of the version before can go on with each from version 7, and says so.
std::string write_version(int version) {
  const std::string number = std::to_string(version);
  const std::string now = "CAST(strftime('%s', 'now') AS BIGINT)";
  if (version < 7) {
    return "INSERT INTO carrel_schema (version, applied_at) VALUES (" + number + ", " +
           now + ")";
  }
  return "INSERT INTO carrel_schema (version, applied_at, usable_from) VALUES (" +
         number + ", " + now + ", " + std::to_string(version - 1) + ")";
}

// Numbers are BIGINT, so that nothing reads them as 32 bits; only a rowid must be called
// INTEGER. What is small and changes comes first in a row, bytes come last.
const char* const kVersion1 = R"sql(
CREATE TABLE carrel_jobs (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  state            BIGINT NOT NULL,
  queue            TEXT NOT NULL,
  kind             TEXT NOT NULL,
  priority         BIGINT NOT NULL,
  attempt          BIGINT NOT NULL DEFAULT 0,
  max_attempts     BIGINT NOT NULL,
  crashes          BIGINT NOT NULL DEFAULT 0,
  cancel_requested BIGINT NOT NULL DEFAULT 0,
  fence            BIGINT NOT NULL DEFAULT 0,
  finished_fence   BIGINT NOT NULL DEFAULT 0,
  wake_at          BIGINT,  -- NULL: available, and never expires
  expires_at       BIGINT,
  enqueued_at      BIGINT NOT NULL,
  run_at           BIGINT NOT NULL,
  started_at       BIGINT,
  ended_at         BIGINT,
  timeout_us       BIGINT NOT NULL,
  claim_number     BIGINT NOT NULL DEFAULT 0,
  worker           TEXT NOT NULL DEFAULT '',
  request_id       TEXT,
  payload          BLOB,    -- NULL: in carrel_payloads
  result           BLOB
);

-- What may be claimed, by lane, best first. It holds available rows only, so neither
-- waiting, running nor finished jobs slow a claim down.
CREATE INDEX carrel_jobs_available
    ON carrel_jobs (state, queue, kind, priority, run_at) WHERE state = 2;

-- What the sweep must look at, and when.
CREATE INDEX carrel_jobs_wake
    ON carrel_jobs (state, wake_at) WHERE wake_at IS NOT NULL;

CREATE UNIQUE INDEX carrel_jobs_request
    ON carrel_jobs (request_id) WHERE request_id IS NOT NULL;

-- Payloads that are too long to be written again at every step of their job.
CREATE TABLE carrel_payloads (
  job   INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
);

-- What a run says on its way.
CREATE TABLE carrel_notes (
  job        INTEGER PRIMARY KEY,
  fraction   REAL,          -- NULL: no progress said
  message    BLOB,
  checkpoint BLOB,
  log        BLOB
);

-- How the attempts ended. The key makes a second end of one run an error.
CREATE TABLE carrel_attempts (
  job         BIGINT NOT NULL,
  fence       BIGINT NOT NULL,
  attempt     BIGINT NOT NULL,
  class       BIGINT NOT NULL,
  message     TEXT NOT NULL DEFAULT '',
  code        BIGINT NOT NULL DEFAULT 11,  -- Code::kFailed
  native      BIGINT NOT NULL DEFAULT 0,
  exit_code   BIGINT NOT NULL DEFAULT 0,
  signal      BIGINT NOT NULL DEFAULT 0,
  wall_us     BIGINT NOT NULL,
  cpu_us      BIGINT NOT NULL DEFAULT 0,
  max_rss     BIGINT NOT NULL DEFAULT 0,
  stderr_tail TEXT NOT NULL DEFAULT '',
  worker      TEXT NOT NULL,
  started_at  BIGINT,
  ended_at    BIGINT NOT NULL,
  PRIMARY KEY (job, fence)
) WITHOUT ROWID;

CREATE TABLE carrel_paused (
  queue TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- How many final rows there are: written in the transaction that makes or deletes them.
CREATE TABLE carrel_tally (
  queue TEXT NOT NULL,
  state BIGINT NOT NULL,
  jobs  BIGINT NOT NULL,
  PRIMARY KEY (queue, state)
) WITHOUT ROWID;
)sql";

// Jobs with limits, beside their rows; what takes no part now has no state. The index
// holds what waits or runs, in the order in which a key lets its jobs go.
const char* const kVersion2 = R"sql(
CREATE TABLE carrel_limits (
  job      INTEGER PRIMARY KEY,
  key      TEXT NOT NULL,
  running  BIGINT NOT NULL,
  state    BIGINT,
  queue    TEXT NOT NULL,
  kind     TEXT NOT NULL,
  priority BIGINT NOT NULL,
  run_at   BIGINT NOT NULL
);

CREATE INDEX carrel_limits_line
    ON carrel_limits (key, state, queue, kind, priority, run_at)
 WHERE state IS NOT NULL;
)sql";

// Unique keys: the job that holds each. One that was purged before its period was over
// has left its key behind, with the state that it ended in, until then.
const char* const kVersion3 = R"sql(
CREATE TABLE carrel_unique (
  key         TEXT PRIMARY KEY,
  job         BIGINT NOT NULL,
  enqueued_at BIGINT NOT NULL,
  until       BIGINT NOT NULL,
  state       BIGINT           -- NULL: the job is there
) WITHOUT ROWID;

CREATE INDEX carrel_unique_job ON carrel_unique (job);

CREATE INDEX carrel_unique_left ON carrel_unique (until) WHERE state IS NOT NULL;
)sql";

// How an attempt ended beside its class: JSON of what there is to say; '' is nothing.
const char* const kVersion4 = R"sql(
ALTER TABLE carrel_attempts ADD COLUMN ending TEXT NOT NULL DEFAULT '';
)sql";

// Jobs with rates, beside their rows; what takes no part now has no state, and one that
// waits for its window has 0. A lane is a queue, kind and priority. What began outlives
// its job; of each key it is written down for how long, and when to look who waits.
const char* const kVersion5 = R"sql(
CREATE TABLE carrel_rates (
  job    INTEGER PRIMARY KEY,
  key    TEXT NOT NULL,
  starts BIGINT NOT NULL,
  period BIGINT NOT NULL,
  state  BIGINT,
  lane   TEXT NOT NULL,
  run_at BIGINT NOT NULL
);

CREATE INDEX carrel_rates_line
    ON carrel_rates (key, state, lane, run_at);

CREATE TABLE carrel_starts (
  key   TEXT NOT NULL,
  at    BIGINT NOT NULL,
  job   BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  PRIMARY KEY (key, at, job, fence)
) WITHOUT ROWID;

CREATE TABLE carrel_rate_keys (
  key     TEXT PRIMARY KEY,
  period  BIGINT NOT NULL,  -- the longest that a job has named
  wake_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX carrel_rate_keys_wake ON carrel_rate_keys (wake_at);
)sql";

// So that a claim learns in one seek each whether any is available that has a limit or a
// rate: those that have ended, or wait, are not there.
const char* const kVersion6 = R"sql(
CREATE INDEX carrel_limits_available ON carrel_limits (state) WHERE state = 2;

CREATE INDEX carrel_rates_available ON carrel_rates (state) WHERE state = 2;
)sql";

// Places in limits that are reserved: 1 where state is 3 for that. To a program of
// version 6 such a job runs: it claims it as any other, and starts no more beside it than
// it may; but what waits in another lane for such a place does so until a newer program
// looks, or the job has run. The index holds all that is asked of a line.
const char* const kVersion7 = R"sql(
ALTER TABLE carrel_schema ADD COLUMN usable_from BIGINT;

ALTER TABLE carrel_limits ADD COLUMN reserved BIGINT NOT NULL DEFAULT 0;

DROP INDEX carrel_limits_line;

CREATE INDEX carrel_limits_line
    ON carrel_limits (key, state, queue, kind, priority, run_at, job, running, reserved)
 WHERE state IS NOT NULL;
)sql";

// kSteps[n] leads from version n to n + 1.
constexpr std::array<const char* const*, kSchemaVersion> kSteps{
    &kVersion1, &kVersion2, &kVersion3, &kVersion4, &kVersion5, &kVersion6, &kVersion7};

}  // namespace

void migrate(Session& session) {
  session.execute(kVersionTable);
  int version = read_version(session.soci());
  while (version < kSchemaVersion) {
    session.execute(*kSteps[static_cast<std::size_t>(version)]);
    ++version;
    session.execute(write_version(version).c_str());
  }
}

bool is_current(Session& session) {
  int tables = 0;
  Statement(session.soci(),
            "SELECT count(*) FROM sqlite_master WHERE name = 'carrel_schema'",
            soci::into(tables))
      .run();
  return tables > 0 && read_version(session.soci()) >= kSchemaVersion;
}

std::string steps_from(int version) {
  if (version >= kSchemaVersion) return {};
  std::string script = "BEGIN IMMEDIATE;";
  script += kVersionTable;
  script += ";\n";
  for (; version < kSchemaVersion; ++version) {
    script += *kSteps[static_cast<std::size_t>(version)];
    script += ";\n" + write_version(version + 1) + ";\n";
  }
  return script + "COMMIT;\n";
}

}  // namespace carrel::sql::sqlite
