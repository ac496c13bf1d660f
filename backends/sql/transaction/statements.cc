// Enqueueing as SQL for a host that has a client of its own. One job a call, and only
// what plain statements can say.
#include <carrel/sql_transaction.h>

#include <map>

#include "mariadb/packet.h"
#include "server/check_row.h"

namespace carrel::sql {
namespace {

constexpr const char* kStatements = "enqueue_statements";

// The parameters of the texts below, by name. Each text is what its store's writer would
// do, in one statement; the instants are the database's.
using Values = std::map<std::string, SqlValue, std::less<>>;

struct Texts {
  std::string_view plain;  // a job without a request_id
  std::vector<std::string_view> with_request;
};

const Texts kPostgresql = {
    R"sql(INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT nextval('carrel_job_id'), :state, :queue, :kind, :priority, :max_attempts,
       now_us + :wake, now_us + :expires, now_us, now_us + :delay, :timeout,
       convert_to(:payload, 'UTF8')
  FROM carrel_clock
RETURNING id)sql",
    {R"sql(WITH known AS (
  SELECT job FROM carrel_requests WHERE request_id = convert_to(:request, 'UTF8')
), made AS (
  INSERT INTO carrel_requests (request_id, job)
  SELECT convert_to(:request, 'UTF8'), nextval('carrel_job_id')
   WHERE NOT EXISTS (SELECT 1 FROM known)
      ON CONFLICT (request_id) DO NOTHING
  RETURNING job
), inserted AS (
  INSERT INTO carrel_jobs
         (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
          enqueued_at, run_at, timeout_us, request_id, payload)
  SELECT made.job, :state, :queue, :kind, :priority, :max_attempts,
         now_us + :wake, now_us + :expires, now_us, now_us + :delay, :timeout,
         convert_to(:request, 'UTF8'), convert_to(:payload, 'UTF8')
    FROM made, carrel_clock
  RETURNING id
)
SELECT id FROM inserted UNION ALL SELECT job FROM known)sql"}};

#define CARREL_NOW "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
// Whether the request is new, the sequence tells: of one that was there, the number that
// the first statement drew for it is not its job's. To look for the job would lock where
// it is not, under REPEATABLE READ, and with that all who enqueue and who end jobs.
const Texts kMariadb = {
    R"sql(INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT NEXTVAL(carrel_job_id), :state, :queue, :kind, :priority, :max_attempts,
       now_us + :wake, now_us + :expires, now_us, now_us + :delay, :timeout, :payload
  FROM (SELECT )sql" CARREL_NOW R"sql( AS now_us) AS clock
RETURNING id)sql",
    {R"sql(INSERT IGNORE INTO carrel_requests (request_id, job)
VALUES (:request, NEXTVAL(carrel_job_id)))sql",
     R"sql(INSERT INTO carrel_jobs
       (id, state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT q.job, :state, :queue, :kind, :priority, :max_attempts,
       now_us + :wake, now_us + :expires, now_us, now_us + :delay, :timeout,
       q.request_id, :payload
  FROM carrel_requests AS q, (SELECT )sql" CARREL_NOW R"sql( AS now_us) AS clock
 WHERE q.request_id = :request
   AND q.job = LASTVAL(carrel_job_id))sql",
     R"sql(SELECT job FROM carrel_requests WHERE request_id = :request)sql"}};
#undef CARREL_NOW

// strftime's %f is a second's thousandths.
#define CARREL_NOW                                      \
  "CAST(strftime('%s', 'now') AS INTEGER) * 1000000 + " \
  "CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000"
const Texts kSqlite = {
    R"sql(INSERT INTO carrel_jobs
       (state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, payload)
SELECT :state, :queue, :kind, :priority, :max_attempts, now_us + :wake,
       now_us + :expires, now_us, now_us + :delay, :timeout, CAST(:payload AS BLOB)
  FROM (SELECT )sql" CARREL_NOW R"sql( AS now_us)
RETURNING id)sql",
    {R"sql(INSERT INTO carrel_jobs
       (state, queue, kind, priority, max_attempts, wake_at, expires_at,
        enqueued_at, run_at, timeout_us, request_id, payload)
SELECT :state, :queue, :kind, :priority, :max_attempts, now_us + :wake,
       now_us + :expires, now_us, now_us + :delay, :timeout, :request,
       CAST(:payload AS BLOB)
  FROM (SELECT )sql" CARREL_NOW R"sql( AS now_us)
 WHERE NOT EXISTS (SELECT 1 FROM carrel_jobs WHERE request_id = :request))sql",
     R"sql(SELECT id FROM carrel_jobs WHERE request_id = :request)sql"}};
#undef CARREL_NOW

const Texts& texts_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::kSqlite:
      return kSqlite;
    case Dialect::kPostgresql:
      return kPostgresql;
    case Dialect::kMariadb:
      break;
  }
  return kMariadb;
}

// The server is not asked: of MariaDB's, as much as every claim can read where nobody has
// changed what it came with.
std::uint64_t max_payload(Dialect dialect) {
  constexpr std::uint64_t kMaxPayload = 64U << 20;
  if (dialect == Dialect::kMariadb)
    return mariadb::longest_payload(mariadb::kUsualPacket);
  return kMaxPayload;
}

bool is_name(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

// With the dialect's marks in place of the names.
SqlStatement write(std::string_view text, Dialect dialect, const Values& values) {
  SqlStatement statement;
  std::map<std::string_view, std::size_t> numbers;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ':' || i + 1 == text.size() || !is_name(text[i + 1])) {
      statement.text += text[i];
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && is_name(text[end])) ++end;
    const std::string_view name = text.substr(i + 1, end - i - 1);
    i = end - 1;
    const SqlValue& value = values.find(name)->second;
    if (dialect != Dialect::kPostgresql) {
      statement.text += '?';
      statement.parameters.push_back(value);
      continue;
    }
    const auto [known, is_new] = numbers.emplace(name, numbers.size() + 1);
    if (is_new) statement.parameters.push_back(value);
    // Said, since a client may send its parameters without types.
    const bool is_text = std::holds_alternative<std::string>(value);
    statement.text += "$" + std::to_string(known->second);
    statement.text += is_text ? "::text" : "::bigint";
  }
  return statement;
}

Values values_of(const NewJob& job) {
  const auto span = [](Duration d) -> SqlValue { return std::int64_t{d.count()}; };
  const bool waits = job.delay > Duration::zero();
  const bool expires = job.start_within > Duration::zero();
  const State state = waits ? State::kScheduled : State::kAvailable;
  const SqlValue expiry =
      expires ? span(job.delay + job.start_within) : SqlValue(std::monostate());
  return {{"state", std::int64_t{static_cast<int>(state)}},
          {"queue", job.queue},
          {"kind", job.kind},
          {"priority", std::int64_t{job.priority}},
          {"max_attempts", std::int64_t{job.max_attempts}},
          {"wake", waits ? span(job.delay) : expiry},
          {"expires", expiry},
          {"delay", span(job.delay)},
          {"timeout", span(job.timeout)},
          {"request", job.request_id},
          {"payload", job.payload}};
}

}  // namespace

Result<EnqueueStatements> enqueue_statements(const Engine& engine, Dialect dialect,
                                             std::string_view kind, const Json& args,
                                             const EnqueueOptions& options) {
  auto job = engine.new_job(kind, args, options);
  if (!job) return tl::unexpected(std::move(job.error()));
  if (job->limit) {
    return fail(Code::kUnsupported,
                "\"" + job->kind + "\" has a limit, which takes the session's enqueue",
                kStatements);
  }
  if (job->rate) {
    return fail(Code::kUnsupported,
                "\"" + job->kind + "\" has a rate, which takes the session's enqueue",
                kStatements);
  }
  if (job->unique) {
    return fail(Code::kUnsupported,
                "\"" + job->kind + "\" is unique, which takes the session's enqueue",
                kStatements);
  }
  if (auto ok = server::check_row(*job, max_payload(dialect), kStatements); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (auto ok = server::check_text("the request id", job->request_id, kStatements); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  const Texts& texts = texts_of(dialect);
  const Values values = values_of(*job);
  EnqueueStatements answer;
  if (job->request_id.empty()) {
    answer.statements.push_back(write(texts.plain, dialect, values));
  } else {
    for (const std::string_view text : texts.with_request) {
      answer.statements.push_back(write(text, dialect, values));
    }
  }
  if (job->delay <= Duration::zero()) {
    answer.ticket = Ticket{{}, job->queue, job->kind, job->priority};
  }
  return answer;
}

}  // namespace carrel::sql
