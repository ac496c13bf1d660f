#include "mariadb/schema.h"

#include <array>
#include <string>

#include "mariadb/session.h"

namespace carrel::sql::mariadb {
namespace {

// Names are bytes: VARCHAR would ignore blanks at their ends.
const char* const kVersion1 = R"sql(
CREATE TABLE IF NOT EXISTS carrel_schema (
  version     integer PRIMARY KEY,
  usable_from integer NOT NULL,  -- by libraries that know this version or a later one
  applied_at  timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB;

-- The one clock: microseconds since 1970 UTC.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW carrel_clock AS
  SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED) AS now_us;

CREATE SEQUENCE IF NOT EXISTS carrel_job_id;

-- Jobs that are not final.
CREATE TABLE IF NOT EXISTS carrel_jobs (
  id               bigint PRIMARY KEY,
  fence            bigint NOT NULL DEFAULT 0,
  finished_fence   bigint NOT NULL DEFAULT 0,
  wake_at          bigint,  -- null: available, and never expires
  expires_at       bigint,
  enqueued_at      bigint NOT NULL,
  run_at           bigint NOT NULL,
  started_at       bigint,
  timeout_us       bigint NOT NULL,
  claim_number     bigint NOT NULL DEFAULT 0,
  attempt          integer NOT NULL DEFAULT 0,
  max_attempts     integer NOT NULL,
  crashes          integer NOT NULL DEFAULT 0,
  state            smallint NOT NULL,
  priority         smallint NOT NULL,
  cancel_requested smallint NOT NULL DEFAULT 0,
  queue            VARBINARY(128) NOT NULL,
  kind             VARBINARY(128) NOT NULL,
  worker           VARBINARY(255) NOT NULL DEFAULT '',
  request_id       VARBINARY(512),
  payload          LONGBLOB    -- null: in carrel_payloads
) ENGINE = InnoDB;

-- What may be claimed, by lane, best first.
CREATE INDEX IF NOT EXISTS carrel_jobs_available
    ON carrel_jobs (state, queue, kind, priority, run_at, id);

-- What the sweep must look at, and when.
CREATE INDEX IF NOT EXISTS carrel_jobs_wake ON carrel_jobs (wake_at);

-- What a worker runs, for its beats.
CREATE INDEX IF NOT EXISTS carrel_jobs_worker
    ON carrel_jobs (worker, state, claim_number);

-- Jobs that are final: written once, so that however many there are, no claim sees them.
CREATE TABLE IF NOT EXISTS carrel_history (
  id               bigint PRIMARY KEY,
  fence            bigint NOT NULL,
  finished_fence   bigint NOT NULL,
  wake_at          bigint NOT NULL,  -- when it is to be purged
  expires_at       bigint,
  enqueued_at      bigint NOT NULL,
  run_at           bigint NOT NULL,
  started_at       bigint,
  ended_at         bigint NOT NULL,
  timeout_us       bigint NOT NULL,
  claim_number     bigint NOT NULL,
  attempt          integer NOT NULL,
  max_attempts     integer NOT NULL,
  crashes          integer NOT NULL,
  state            smallint NOT NULL,
  priority         smallint NOT NULL,
  cancel_requested smallint NOT NULL,
  queue            VARBINARY(128) NOT NULL,
  kind             VARBINARY(128) NOT NULL,
  worker           VARBINARY(255) NOT NULL,
  request_id       VARBINARY(512),
  payload          LONGBLOB,
  result           LONGBLOB
) ENGINE = InnoDB;

CREATE INDEX IF NOT EXISTS carrel_history_wake ON carrel_history (state, wake_at);

-- Request ids, of jobs in either table.
CREATE TABLE IF NOT EXISTS carrel_requests (
  request_id VARBINARY(512) PRIMARY KEY,
  job        bigint NOT NULL UNIQUE
) ENGINE = InnoDB;

-- Payloads that are too long to be written again at every step of their job.
CREATE TABLE IF NOT EXISTS carrel_payloads (
  job   bigint PRIMARY KEY,
  bytes LONGBLOB NOT NULL
) ENGINE = InnoDB;

-- What a run says on its way.
CREATE TABLE IF NOT EXISTS carrel_notes (
  job        bigint PRIMARY KEY,
  fraction   double,  -- null: no progress said
  message    LONGBLOB NOT NULL,
  checkpoint LONGBLOB NOT NULL,
  log        LONGBLOB NOT NULL
) ENGINE = InnoDB;

-- How the attempts ended. The key makes a second end of one run an error.
CREATE TABLE IF NOT EXISTS carrel_attempts (
  job         bigint NOT NULL,
  fence       bigint NOT NULL,
  wall_us     bigint NOT NULL,
  cpu_us      bigint NOT NULL DEFAULT 0,
  max_rss     bigint NOT NULL DEFAULT 0,
  started_at  bigint,
  ended_at    bigint NOT NULL,
  attempt     integer NOT NULL,
  native      integer NOT NULL DEFAULT 0,
  exit_code   integer NOT NULL DEFAULT 0,
  `signal`    integer NOT NULL DEFAULT 0,
  class       smallint NOT NULL,
  code        smallint NOT NULL DEFAULT 11,  -- Code::kFailed
  message     LONGBLOB NOT NULL DEFAULT '',
  stderr_tail LONGBLOB NOT NULL DEFAULT '',
  worker      VARBINARY(255) NOT NULL,
  PRIMARY KEY (job, fence)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS carrel_paused (
  queue VARBINARY(128) PRIMARY KEY
) ENGINE = InnoDB;

-- How many final rows there are: the sum of what each transaction has added or taken.
CREATE TABLE IF NOT EXISTS carrel_tally (
  id    bigint AUTO_INCREMENT PRIMARY KEY,
  queue VARBINARY(128) NOT NULL,
  state smallint NOT NULL,
  jobs  bigint NOT NULL
) ENGINE = InnoDB;
)sql";

// Jobs with limits, beside their rows: what waits or runs, in the order in which a key
// lets its jobs go. A program of version 1 does not see what is available here.
const char* const kVersion2 = R"sql(
CREATE TABLE IF NOT EXISTS carrel_limits (
  job       bigint PRIMARY KEY,
  run_at    bigint NOT NULL,
  running   bigint NOT NULL,  -- at most this many of the key at once
  state     smallint,         -- of the job; null: neither waits for the key nor runs
  limit_key VARBINARY(256) NOT NULL,
  lane      VARBINARY(300) NOT NULL  -- its queue, kind and priority
) ENGINE = InnoDB;

CREATE INDEX IF NOT EXISTS carrel_limits_line
    ON carrel_limits (limit_key, state, lane, run_at, job);

CREATE INDEX IF NOT EXISTS carrel_limits_available
    ON carrel_limits (state, lane, run_at, job);

-- Locked by whoever changes what runs and waits of a key; each key has one of these.
CREATE TABLE IF NOT EXISTS carrel_limit_slots (
  slot smallint PRIMARY KEY
) ENGINE = InnoDB;

INSERT IGNORE INTO carrel_limit_slots (slot)
  WITH RECURSIVE digits AS (
    SELECT 0 AS n UNION ALL SELECT n + 1 FROM digits WHERE n < 31
  )
  SELECT high.n * 32 + low.n FROM digits AS high JOIN digits AS low;
)sql";

// Unique keys: the job that holds each. One that was purged before its period was over
// has left its key behind, with the state that it ended in, until then.
const char* const kVersion3 = R"sql(
CREATE TABLE IF NOT EXISTS carrel_unique (
  `key`       VARBINARY(256) PRIMARY KEY,
  job         bigint NOT NULL,  -- 0: of a transaction that is about to say
  enqueued_at bigint NOT NULL,
  until       bigint NOT NULL,
  state       smallint          -- null: the job is there
) ENGINE = InnoDB;

CREATE INDEX IF NOT EXISTS carrel_unique_job ON carrel_unique (job);

CREATE INDEX IF NOT EXISTS carrel_unique_left ON carrel_unique (state, until);
)sql";

// How an attempt ended beside its class: JSON of what there is to say; '' is nothing.
const char* const kVersion4 = R"sql(
ALTER TABLE carrel_attempts
  ADD COLUMN IF NOT EXISTS ending LONGBLOB NOT NULL DEFAULT '';
)sql";

// Jobs with rates, beside their rows; what waits for its window has state 0, what is
// available 2. What began outlives its job. Of each key, for how long that is kept, and
// when to look who waits. A program of version 4 does not see what is available here.
const char* const kVersion5 = R"sql(
CREATE TABLE IF NOT EXISTS carrel_rates (
  job       bigint PRIMARY KEY,
  run_at    bigint NOT NULL,
  period_us bigint NOT NULL,
  starts    bigint NOT NULL,  -- at most this many of the key begin within it
  state     smallint,
  rate_key  VARBINARY(256) NOT NULL,
  lane      VARBINARY(300) NOT NULL  -- its queue, kind and priority
) ENGINE = InnoDB;

CREATE INDEX IF NOT EXISTS carrel_rates_line
    ON carrel_rates (rate_key, state, lane, run_at, job);

CREATE INDEX IF NOT EXISTS carrel_rates_available
    ON carrel_rates (state, lane, run_at, job);

CREATE TABLE IF NOT EXISTS carrel_starts (
  rate_key VARBINARY(256) NOT NULL,
  begun_at bigint NOT NULL,
  job      bigint NOT NULL,
  fence    bigint NOT NULL,
  PRIMARY KEY (rate_key, begun_at, job, fence)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS carrel_rate_keys (
  rate_key  VARBINARY(256) PRIMARY KEY,
  period_us bigint NOT NULL,  -- the longest that a job has named
  wake_at   bigint NOT NULL
) ENGINE = InnoDB;

CREATE INDEX IF NOT EXISTS carrel_rate_keys_wake ON carrel_rate_keys (wake_at);
)sql";

// Programs of this version look at it and never make it 1: those of version 5 would not
// look at the keys of what they claim so. What has to ask is found in carrel_jobs.
const char* const kVersion6 = R"sql(
ALTER TABLE carrel_jobs
  ADD COLUMN IF NOT EXISTS limited smallint NOT NULL DEFAULT 0;
      -- 1: has a limit, and was available with its place reserved
)sql";

// Those of this version do; and claims leave carrel_limits as it is, which a program of
// version 5 would not count.
const char* const kVersion7 = R"sql(
DROP INDEX IF EXISTS carrel_limits_available ON carrel_limits;

DROP INDEX IF EXISTS carrel_rates_available ON carrel_rates;
)sql";

struct Step {
  const char* sql;
  const char* row;  // version and usable_from, as carrel_schema will have them
};
constexpr std::array<Step, kSchemaVersion> kSteps{{{kVersion1, "(1, 1)"},
                                                   {kVersion2, "(2, 1)"},
                                                   {kVersion3, "(3, 2)"},
                                                   {kVersion4, "(4, 3)"},
                                                   {kVersion5, "(5, 4)"},
                                                   {kVersion6, "(6, 5)"},
                                                   {kVersion7, "(7, 6)"}}};

int number(const std::string& text) { return text.empty() ? 0 : std::stoi(text); }

}  // namespace

SchemaVersion version_of(MariadbSession& session) {
  const std::string there = session.execute(
      "SELECT COUNT(*) FROM information_schema.tables"
      " WHERE table_schema = DATABASE() AND table_name = 'carrel_schema'");
  if (number(there) == 0) return {};
  return {number(session.execute("SELECT MAX(version) FROM carrel_schema")),
          number(session.execute("SELECT usable_from FROM carrel_schema"
                                 " ORDER BY version DESC LIMIT 1"))};
}

std::string steps_from(int version) {
  std::string sql, rows;
  for (std::size_t i = static_cast<std::size_t>(version); i < kSteps.size(); ++i) {
    sql += kSteps[i].sql;
    rows += (rows.empty() ? "" : ", ") + std::string(kSteps[i].row);
  }
  if (rows.empty()) return sql;
  return sql + "\nINSERT INTO carrel_schema (version, usable_from) VALUES " + rows +
         ";\n";
}

void prepare_schema(MariadbSession& session, Migrate migrate,
                    std::chrono::seconds patience) {
  if (!needs_steps(version_of(session), kSchemaVersion, migrate)) return;
  // One at a time; the others then find it done. The lock ends with the session at last.
  const std::string lock = "CONCAT('carrel_', DATABASE())";
  if (session.execute("SELECT GET_LOCK(" + lock + ", " +
                      std::to_string(patience.count()) + ")") != "1") {
    throw SchemaProblem{Code::kUnavailable,
                        "somebody else has been making its tables for seconds"};
  }
  const SchemaVersion found = version_of(session);
  if (needs_steps(found, kSchemaVersion, migrate)) {
    session.execute(steps_from(found.version));
  }
  session.execute("SELECT RELEASE_LOCK(" + lock + ")");
}

}  // namespace carrel::sql::mariadb
