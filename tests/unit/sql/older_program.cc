#include "older_program.h"

namespace carrel::test {
namespace {

using soci::into;
using soci::use;

// As the drivers of both say the time and their rows.
class Older : public OlderProgram {
 public:
  explicit Older(std::unique_ptr<soci::session> session) : session_(std::move(session)) {}

 protected:
  static constexpr long long kHour = 3'600'000'000;

  void begin(const char* how) {
    *session_ << how;
    *session_ << "SELECT now_us FROM carrel_clock", into(now_);
    later_ = now_ + kHour;
  }
  std::string new_job() const {
    return R"([{"n":0,"state":2,"queue":"default","kind":"work","priority":0,)"
           R"("max_attempts":3,"timeout_us":0,"payload":"7b7d","run_at":)" +
           std::to_string(now_) + "}]";
  }
  soci::session& db() { return *session_; }
  void commit() { *session_ << "COMMIT"; }

  long long now_ = 0;
  long long later_ = 0;

 private:
  const std::unique_ptr<soci::session> session_;
};

class OlderPostgresql final : public Older {
 public:
  using Older::Older;

  void enqueue() override {
    begin("BEGIN");
    const std::string rows = new_job();
    long long id = 0;
    db() << R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT coalesce(r.id, nextval('carrel_job_id')), r.state, r.queue, r.kind, r.priority,
       r.max_attempts, r.wake_at, r.expires_at, :now::bigint, r.run_at, r.timeout_us,
       decode(r.request_id, 'hex'), decode(r.payload, 'hex')
  FROM (SELECT *
          FROM json_to_recordset(:rows::json) AS r(
               n int, id bigint, state smallint, queue text, kind text,
               priority smallint, max_attempts int, wake_at bigint, expires_at bigint,
               run_at bigint, timeout_us bigint, request_id text, payload text)
         ORDER BY n) AS r
RETURNING id)sql",
        use(rows, "rows"), use(now_, "now"), into(id);
    commit();
  }

  std::vector<OlderRun> claim() override {
    begin("BEGIN");
    const std::string rows = R"([{"queue":"default","kind":"work","most":100}])";
    const std::string worker = "older";
    const long long claim_number = 1;
    OlderRun run{};
    soci::statement claims = (db().prepare << R"sql(
WITH best AS MATERIALIZED (
  SELECT one.id
    FROM json_to_recordset(:rows::json) AS lane(queue text, kind text, most int),
         LATERAL (SELECT id
                    FROM carrel_jobs
                   WHERE state = 2 AND queue = lane.queue AND kind = lane.kind
                     AND (expires_at IS NULL OR expires_at > :now::bigint)
                   ORDER BY priority, run_at, id
                   LIMIT lane.most
                     FOR UPDATE SKIP LOCKED) AS one
   WHERE lane.queue NOT IN (SELECT queue FROM carrel_paused)
)
UPDATE carrel_jobs
   SET state = 3,
       fence = fence + 1,
       attempt = least(attempt + 1, 65535),
       wake_at = :lease_end,
       claim_number = :claim_number,
       worker = :worker,
       started_at = :now::bigint
 WHERE id = ANY(ARRAY(SELECT id FROM best))
RETURNING id, fence)sql",
                              use(rows, "rows"), use(now_, "now"),
                              use(later_, "lease_end"), use(claim_number, "claim_number"),
                              use(worker, "worker"), into(run.id), into(run.fence));
    std::vector<OlderRun> runs;
    for (bool row = claims.execute(true); row; row = claims.fetch()) runs.push_back(run);
    commit();
    return runs;
  }

  void renew(const OlderRun& run) override {
    begin("BEGIN");
    const std::string ids = "[" + std::to_string(run.id) + "]";
    db() << R"sql(
UPDATE carrel_jobs
   SET wake_at = :lease_end
 WHERE id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)::bigint))
   AND state = 3)sql",
        use(later_, "lease_end"), use(ids, "ids");
    commit();
  }

  void complete(const OlderRun& run) override {
    begin("BEGIN");
    const std::string rows = R"([{"id":)" + std::to_string(run.id) + R"(,"fence":)" +
                             std::to_string(run.fence) +
                             R"(,"result":"37","attempt":1,"wall_us":5}])";
    long long id = 0;
    std::string queue;
    db() << R"sql(
WITH asked AS MATERIALIZED (
  SELECT *
    FROM json_to_recordset(:rows::json) AS r(
         id bigint, fence bigint, result text, attempt int, wall_us bigint)
), done AS (
  DELETE FROM carrel_jobs j
   USING asked
   WHERE j.id = asked.id AND j.fence = asked.fence AND j.state = 3
  RETURNING j.*, asked.result AS asked_result, asked.attempt AS asked_attempt,
            asked.wall_us AS asked_wall_us
), history AS (
  INSERT INTO carrel_history
         (id, state, queue, kind, priority, attempt, max_attempts, crashes,
          cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at,
          run_at, started_at, ended_at, timeout_us, claim_number, worker, request_id,
          payload, result)
  SELECT id, 5, queue, kind, priority, attempt, max_attempts, crashes, cancel_requested,
         fence, fence, :wake_at::bigint, expires_at, enqueued_at, run_at, started_at,
         :now::bigint, timeout_us, claim_number, worker, request_id, payload,
         decode(asked_result, 'hex')
    FROM done
), attempts AS (
  INSERT INTO carrel_attempts
         (job, fence, attempt, class, wall_us, worker, started_at, ended_at)
  SELECT id, fence, asked_attempt, 0, asked_wall_us, worker, started_at, :now::bigint
    FROM done
   WHERE asked_attempt IS NOT NULL
), tally AS (
  INSERT INTO carrel_tally (queue, state, jobs)
  SELECT queue, 5, count(*) FROM done GROUP BY queue
)
SELECT id, queue FROM done)sql",
        use(rows, "rows"), use(later_, "wake_at"), use(now_, "now"), into(id),
        into(queue);
    commit();
  }
};

class OlderMariadb final : public Older {
 public:
  explicit OlderMariadb(std::unique_ptr<soci::session> session)
      : Older(std::move(session)) {
    db() << "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
            " time_zone = '+00:00', tx_isolation = 'READ-COMMITTED',"
            " innodb_lock_wait_timeout = 5, autocommit = 1";
  }

  void enqueue() override {
    begin("START TRANSACTION");
    const std::string rows = new_job();
    long long id = 0;
    db() << R"sql(
INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT COALESCE(r.id, NEXTVAL(carrel_job_id)), r.state, r.queue, r.kind, r.priority,
       r.max_attempts, r.wake_at, r.expires_at, :now, r.run_at, r.timeout_us,
       UNHEX(r.request_id), UNHEX(r.payload)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.queue',
         kind VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.kind',
         priority SMALLINT PATH '$.priority',
         max_attempts INT PATH '$.max_attempts',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at',
         timeout_us BIGINT PATH '$.timeout_us',
         request_id LONGTEXT PATH '$.request_id',
         payload LONGTEXT PATH '$.payload')) AS r
RETURNING id)sql",
        use(now_, "now"), use(rows, "rows"), into(id);
    commit();
  }

  std::vector<OlderRun> claim() override {
    begin("START TRANSACTION");
    const std::string queue = "default";
    const std::string kind = "work";
    const long long most = 100;
    OlderRun run{};
    soci::statement picks = (db().prepare << R"sql(
SELECT j.id, j.fence + 1
  FROM carrel_jobs AS j FORCE INDEX (carrel_jobs_available)
 WHERE j.state = 2 AND j.queue = :queue AND j.kind = :kind
   AND (j.expires_at IS NULL OR j.expires_at > :now)
   AND NOT EXISTS (SELECT 1 FROM carrel_paused AS p WHERE p.queue = :queue)
 ORDER BY j.priority, j.run_at, j.id
 LIMIT :most
   FOR UPDATE SKIP LOCKED)sql",
                             use(queue, "queue"), use(kind, "kind"), use(now_, "now"),
                             use(most, "most"), into(run.id), into(run.fence));
    std::vector<OlderRun> runs;
    for (bool row = picks.execute(true); row; row = picks.fetch()) runs.push_back(run);
    std::string ids = "[";
    for (const OlderRun& one : runs) {
      ids += (ids.size() > 1 ? "," : "") + std::to_string(one.id);
    }
    ids += "]";
    const std::string worker = "older";
    const long long claim_number = 1;
    db() << R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.state = 3,
       j.fence = j.fence + 1,
       j.attempt = LEAST(j.attempt + 1, 65535),
       j.wake_at = :lease_end,
       j.claim_number = :claim_number,
       j.worker = :worker,
       j.started_at = :now)sql",
        use(ids, "ids"), use(later_, "lease_end"), use(claim_number, "claim_number"),
        use(worker, "worker"), use(now_, "now");
    commit();
    return runs;
  }

  void renew(const OlderRun& run) override {
    begin("START TRANSACTION");
    const std::string ids = "[" + std::to_string(run.id) + "]";
    db() << R"sql(
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT PATH '$')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id
   SET j.wake_at = :lease_end
 WHERE j.state = 3)sql",
        use(ids, "ids"), use(later_, "lease_end");
    commit();
  }

  void complete(const OlderRun& run) override {
    begin("START TRANSACTION");
    const std::string id = std::to_string(run.id);
    const std::string fence = std::to_string(run.fence);
    const std::string now = std::to_string(now_);
    with_rows(R"sql(
INSERT INTO carrel_history
       (id, state, queue, kind, priority, attempt, max_attempts, crashes,
        cancel_requested, fence, finished_fence, wake_at, expires_at, enqueued_at, run_at,
        started_at, ended_at, timeout_us, claim_number, worker, request_id, payload,
        result)
SELECT STRAIGHT_JOIN j.id, r.state, j.queue, j.kind, j.priority, r.attempt,
       r.max_attempts, r.crashes, r.cancel_requested, j.fence, r.finished_fence,
       r.wake_at, r.expires_at, j.enqueued_at, r.run_at, j.started_at, r.ended_at,
       j.timeout_us, j.claim_number, j.worker, j.request_id, j.payload, UNHEX(r.result)
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         state SMALLINT PATH '$.state',
         cancel_requested SMALLINT PATH '$.cancel_requested',
         attempt INT PATH '$.attempt',
         max_attempts INT PATH '$.max_attempts',
         crashes INT PATH '$.crashes',
         finished_fence BIGINT PATH '$.finished_fence',
         wake_at BIGINT PATH '$.wake_at',
         expires_at BIGINT PATH '$.expires_at',
         run_at BIGINT PATH '$.run_at',
         ended_at BIGINT PATH '$.ended_at',
         result LONGTEXT PATH '$.result')) AS r
  JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql",
              R"([{"id":)" + id +
                  R"(,"state":5,"cancel_requested":0,"attempt":1,"max_attempts":3,)"
                  R"("crashes":0,"result":"37","finished_fence":)" +
                  fence + R"(,"wake_at":)" + std::to_string(later_) + R"(,"run_at":)" +
                  now + R"(,"ended_at":)" + now + "}]");
    with_rows(R"sql(
DELETE j
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         id BIGINT PATH '$.id')) AS r
  STRAIGHT_JOIN carrel_jobs AS j FORCE INDEX (PRIMARY) ON j.id = r.id)sql",
              R"([{"id":)" + id + "}]");
    with_rows(R"sql(
INSERT INTO carrel_attempts
       (job, fence, attempt, class, message, code, native, exit_code, `signal`,
        wall_us, cpu_us, max_rss, stderr_tail, ending, worker, started_at, ended_at)
SELECT r.job, r.fence, r.attempt, r.class, UNHEX(r.message), r.code, r.native,
       r.exit_code, r.`signal`, r.wall_us, r.cpu_us, r.max_rss, UNHEX(r.stderr_tail),
       UNHEX(r.ending), r.worker, r.started_at, )sql" +
                  now + R"sql(
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         job BIGINT PATH '$.job',
         fence BIGINT PATH '$.fence',
         attempt INT PATH '$.attempt',
         class SMALLINT PATH '$.class',
         message LONGTEXT PATH '$.message',
         code SMALLINT PATH '$.code',
         native INT PATH '$.native',
         exit_code INT PATH '$.exit_code',
         `signal` INT PATH '$.signal',
         wall_us BIGINT PATH '$.wall_us',
         cpu_us BIGINT PATH '$.cpu_us',
         max_rss BIGINT PATH '$.max_rss',
         stderr_tail LONGTEXT PATH '$.stderr_tail',
         ending LONGTEXT PATH '$.ending',
         worker VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.worker',
         started_at BIGINT PATH '$.started_at')) AS r)sql",
              R"([{"job":)" + id + R"(,"fence":)" + fence +
                  R"(,"attempt":1,"class":0,"message":"","code":0,"native":0,)"
                  R"("exit_code":0,"signal":0,"wall_us":5,"cpu_us":0,"max_rss":0,)"
                  R"("stderr_tail":"","ending":"","worker":"older","started_at":)" +
                  now + "}]");
    with_rows(R"sql(
INSERT INTO carrel_tally (queue, state, jobs)
SELECT r.queue, r.state, r.jobs
  FROM JSON_TABLE(:rows, '$[*]' COLUMNS (
         queue VARCHAR(512) CHARACTER SET utf8mb4 PATH '$.queue',
         state SMALLINT PATH '$.state',
         jobs BIGINT PATH '$.jobs')) AS r)sql",
              R"([{"queue":"default","state":5,"jobs":1}])");
    commit();
  }

 private:
  void with_rows(const std::string& text, const std::string& rows) {
    db() << text, use(rows, "rows");
  }
};

}  // namespace

std::unique_ptr<OlderProgram> older_postgresql(std::unique_ptr<soci::session> session) {
  return std::make_unique<OlderPostgresql>(std::move(session));
}

std::unique_ptr<OlderProgram> older_mariadb(std::unique_ptr<soci::session> session) {
  return std::make_unique<OlderMariadb>(std::move(session));
}

}  // namespace carrel::test
