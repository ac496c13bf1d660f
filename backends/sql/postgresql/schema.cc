#include "postgresql/schema.h"

#include <array>

#include "postgresql/session.h"

namespace carrel::sql::postgresql {
namespace {

// Names are compared byte by byte. What is small and changes comes first in a row.
const char* const kVersion1 = R"sql(
CREATE TABLE carrel_schema (
  version     integer PRIMARY KEY,
  usable_from integer NOT NULL,  -- by libraries that know this version or a later one
  applied_at  timestamptz NOT NULL DEFAULT now()
);

-- The one clock: microseconds since 1970 UTC.
CREATE VIEW carrel_clock AS
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us;

CREATE SEQUENCE carrel_job_id;

-- Jobs that are not final. Rows change often and leave soon: room for new versions of
-- them on their pages, and a vacuum that does not wait until there are many.
CREATE TABLE carrel_jobs (
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
  queue            text COLLATE "C" NOT NULL,
  kind             text COLLATE "C" NOT NULL,
  worker           text COLLATE "C" NOT NULL DEFAULT '',
  request_id       bytea,
  payload          bytea    -- null: in carrel_payloads
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);

-- What may be claimed, by lane, best first.
CREATE INDEX carrel_jobs_available
    ON carrel_jobs (queue, kind, priority, run_at, id) WHERE state = 2;

-- What the sweep must look at, and when.
CREATE INDEX carrel_jobs_wake ON carrel_jobs (wake_at) WHERE wake_at IS NOT NULL;

-- What a worker runs, for its beats.
CREATE INDEX carrel_jobs_worker ON carrel_jobs (worker, claim_number) WHERE state = 3;

-- Jobs that are final: written once, so that however many there are, no claim sees them.
CREATE TABLE carrel_history (
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
  queue            text COLLATE "C" NOT NULL,
  kind             text COLLATE "C" NOT NULL,
  worker           text COLLATE "C" NOT NULL,
  request_id       bytea,
  payload          bytea,
  result           bytea
);

CREATE INDEX carrel_history_wake ON carrel_history (state, wake_at);

-- Request ids, of jobs in either table.
CREATE TABLE carrel_requests (
  request_id bytea PRIMARY KEY,
  job        bigint NOT NULL UNIQUE
);

-- Payloads that are too long to be written again at every step of their job.
CREATE TABLE carrel_payloads (
  job   bigint PRIMARY KEY,
  bytes bytea NOT NULL
);

-- What a run says on its way.
CREATE TABLE carrel_notes (
  job        bigint PRIMARY KEY,
  fraction   double precision,  -- null: no progress said
  message    bytea NOT NULL,
  checkpoint bytea NOT NULL,
  log        bytea NOT NULL
) WITH (fillfactor = 70);

-- How the attempts ended. The key makes a second end of one run an error.
CREATE TABLE carrel_attempts (
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
  signal      integer NOT NULL DEFAULT 0,
  class       smallint NOT NULL,
  code        smallint NOT NULL DEFAULT 11,  -- Code::kFailed
  message     bytea NOT NULL DEFAULT '',
  stderr_tail bytea NOT NULL DEFAULT '',
  worker      text COLLATE "C" NOT NULL,
  PRIMARY KEY (job, fence)
);

CREATE TABLE carrel_paused (
  queue text COLLATE "C" PRIMARY KEY
);

-- How many final rows there are: the sum of what each transaction has added or taken.
CREATE TABLE carrel_tally (
  id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  jobs  bigint NOT NULL
);

INSERT INTO carrel_schema (version, usable_from) VALUES (1, 1);
)sql";

// Jobs with limits, beside their rows: what waits or runs, in the order in which a key
// lets its jobs go. A program of version 1 does not see what is available here.
const char* const kVersion2 = R"sql(
CREATE TABLE carrel_limits (
  job       bigint PRIMARY KEY,
  run_at    bigint NOT NULL,
  running   bigint NOT NULL,  -- at most this many of the key at once
  state     smallint,         -- of the job; null: neither waits for the key nor runs
  limit_key text COLLATE "C" NOT NULL,
  lane      text COLLATE "C" NOT NULL  -- its queue, kind and priority
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX carrel_limits_line
    ON carrel_limits (limit_key, state, lane, run_at, job) WHERE state IS NOT NULL;

CREATE INDEX carrel_limits_available
    ON carrel_limits (lane, run_at, job) WHERE state = 2;

-- Locked by whoever changes what runs and waits of a key; each key has one of these.
CREATE TABLE carrel_limit_slots (
  slot smallint PRIMARY KEY
);

INSERT INTO carrel_limit_slots (slot) SELECT generate_series(0, 1023);

INSERT INTO carrel_schema (version, usable_from) VALUES (2, 1);
)sql";

// Unique keys: the job that holds each. One that was purged before its period was over
// has left its key behind, with the state that it ended in, until then.
const char* const kVersion3 = R"sql(
CREATE TABLE carrel_unique (
  key         bytea PRIMARY KEY,
  job         bigint NOT NULL,  -- 0: of a transaction that is about to say
  enqueued_at bigint NOT NULL,
  until       bigint NOT NULL,
  state       smallint          -- null: the job is there
);

CREATE INDEX carrel_unique_job ON carrel_unique (job);

CREATE INDEX carrel_unique_left ON carrel_unique (until) WHERE state IS NOT NULL;

INSERT INTO carrel_schema (version, usable_from) VALUES (3, 2);
)sql";

// How an attempt ended beside its class: JSON of what there is to say; '' is nothing.
const char* const kVersion4 = R"sql(
ALTER TABLE carrel_attempts ADD COLUMN ending bytea NOT NULL DEFAULT '';

INSERT INTO carrel_schema (version, usable_from) VALUES (4, 3);
)sql";

// Jobs with rates, beside their rows; what waits for its window has state 0, what is
// available 2. What began outlives its job. Of each key, for how long that is kept, and
// when to look who waits. A program of version 4 does not see what is available here.
const char* const kVersion5 = R"sql(
CREATE TABLE carrel_rates (
  job       bigint PRIMARY KEY,
  run_at    bigint NOT NULL,
  period_us bigint NOT NULL,
  starts    bigint NOT NULL,  -- at most this many of the key begin within it
  state     smallint,
  rate_key  text COLLATE "C" NOT NULL,
  lane      text COLLATE "C" NOT NULL  -- its queue, kind and priority
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX carrel_rates_line
    ON carrel_rates (rate_key, state, lane, run_at, job);

CREATE INDEX carrel_rates_available
    ON carrel_rates (lane, run_at, job) WHERE state = 2;

CREATE TABLE carrel_starts (
  rate_key text COLLATE "C" NOT NULL,
  begun_at bigint NOT NULL,
  job      bigint NOT NULL,
  fence    bigint NOT NULL,
  PRIMARY KEY (rate_key, begun_at, job, fence)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE carrel_rate_keys (
  rate_key  text COLLATE "C" PRIMARY KEY,
  period_us bigint NOT NULL,  -- the longest that a job has named
  wake_at   bigint NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0);

CREATE INDEX carrel_rate_keys_wake ON carrel_rate_keys (wake_at);

INSERT INTO carrel_schema (version, usable_from) VALUES (5, 4);
)sql";

// What is available of the jobs with limits or rates is found in carrel_jobs, as the
// others are. What runs of a key is counted by carrel_jobs alone, whether carrel_limits
// says that it runs or still that it is available.
const char* const kVersion6 = R"sql(
CREATE INDEX carrel_jobs_limited
    ON carrel_jobs (queue, kind, priority, run_at, id) WHERE state = 18;

INSERT INTO carrel_schema (version, usable_from) VALUES (6, 5);
)sql";

// Claims leave carrel_limits as it is, which a program of version 5 would not count.
const char* const kVersion7 = R"sql(
DROP INDEX carrel_limits_available;

DROP INDEX carrel_rates_available;

INSERT INTO carrel_schema (version, usable_from) VALUES (7, 6);
)sql";

// Programs of this version look at it and never make it 1: those of version 7 would not
// look at the keys of what they claim so.
const char* const kVersion8 = R"sql(
ALTER TABLE carrel_jobs  -- 1: has a limit, and was available with its place reserved
  ADD COLUMN limited smallint NOT NULL DEFAULT 0;

INSERT INTO carrel_schema (version, usable_from) VALUES (8, 7);
)sql";

// Those of this version do.
const char* const kVersion9 = R"sql(
INSERT INTO carrel_schema (version, usable_from) VALUES (9, 8);
)sql";

constexpr std::array<const char* const*, kSchemaVersion> kSteps{
    &kVersion1, &kVersion2, &kVersion3, &kVersion4, &kVersion5,
    &kVersion6, &kVersion7, &kVersion8, &kVersion9};

// One at a time, until the end of the transaction; the others then find it done. While a
// step waits for who uses a table, all others wait behind it: briefly.
constexpr const char* kTakeTurn = "SELECT pg_advisory_xact_lock(7161674165118018668)";
constexpr const char* kHurry = "SET LOCAL lock_timeout = '2s'";

int number(const std::string& text) { return text.empty() ? 0 : std::stoi(text); }

}  // namespace

SchemaVersion version_of(PostgresSession& session) {
  // Not to_regclass(): what it has once not found it may go on not to find in a session
  // that waited for somebody else to make it.
  const char* const find =
      "SELECT oid FROM pg_catalog.pg_class"
      " WHERE relname = 'carrel_schema' AND pg_table_is_visible(oid)";
  if (session.execute(find).empty()) return {};
  return {number(session.execute("SELECT max(version) FROM carrel_schema")),
          number(session.execute("SELECT usable_from FROM carrel_schema "
                                 "ORDER BY version DESC LIMIT 1"))};
}

std::string_view step_from(int version) {
  return *kSteps.at(static_cast<std::size_t>(version));
}

std::string script_of(const std::string& steps) {
  return std::string("BEGIN;\n") + kTakeTurn + ";\n" + kHurry + ";\n" + steps +
         "COMMIT;\n";
}

void prepare_schema(PostgresSession& session, Migrate migrate) {
  if (!needs_steps(version_of(session), kSchemaVersion, migrate)) return;
  session.execute((std::string("BEGIN; ") + kTakeTurn).c_str());
  session.execute(kHurry);
  SchemaVersion found = version_of(session);
  if (needs_steps(found, kSchemaVersion, migrate)) {
    while (found.version < kSchemaVersion) {
      session.execute(std::string(step_from(found.version++)).c_str());
    }
  }
  session.commit();
}

}  // namespace carrel::sql::postgresql
