#include <carrel/sql_transaction.h>

#include <filesystem>

#include "check.h"
#include "server/check_row.h"
#include "transaction/client.h"
#include "transaction/join.h"

namespace carrel::sql {
namespace {

using transaction::Backend;
using transaction::kOrigin;

const char* scheme_of(Backend backend) {
  switch (backend) {
    case Backend::kSqlite:
      return "sqlite";
    case Backend::kPostgresql:
      return "postgresql";
    case Backend::kMysql:
      break;
  }
  return "mysql";
}

// That the jobs would come to the engine's store. Which database of a server a session
// has open is the host's to know.
Result<void> check_same(const Engine& engine, soci::session& session, Backend backend) {
  const auto store = Url::parse(engine.config().store);
  if (!store) return tl::unexpected(store.error());
  if (store->scheme != scheme_of(backend)) {
    return fail(Code::kInvalid,
                std::string("the session is one of ") + scheme_of(backend) +
                    ", the engine's store is " + store->redacted() +
                    ": its workers would not see the job",
                kOrigin);
  }
  if (backend != Backend::kSqlite) return {};
  const std::string file = transaction::sqlite_file(session);
  std::error_code error;
  if (std::filesystem::equivalent(engine.config().directory / store->rest, file, error)) {
    return {};
  }
  return fail(Code::kInvalid,
              "the session has \"" + file + "\" open, the engine's store is " +
                  store->redacted() + ": its workers would not see the job",
              kOrigin);
}

Result<void> check_job(const NewJob& job, const StoreTraits& traits, Backend backend) {
  if (job.limit && !traits.limits) {
    return fail(Code::kUnsupported,
                "\"" + job.kind + "\" has a limit, which this store does not know yet",
                kOrigin);
  }
  if (job.rate && !traits.rates) {
    return fail(Code::kUnsupported,
                "\"" + job.kind + "\" has a rate, which this store does not know yet",
                kOrigin);
  }
  if (backend == Backend::kSqlite) return check(job, traits.max_payload, kOrigin);
  return server::check_row(job, traits.max_payload, kOrigin);
}

}  // namespace

Result<std::vector<Inserted>> enqueue(Engine& engine, soci::session& session,
                                      std::span<const Request> requests) {
  const auto refuse = [](Error error) { return tl::unexpected<Error>(std::move(error)); };
  if (requests.empty()) return std::vector<Inserted>{};
  if (auto ok = engine.ignite(); !ok) return refuse(std::move(ok.error()));
  const StoreTraits traits = engine.store().traits();
  const auto backend = transaction::backend_of(session);
  if (!backend) return refuse(backend.error());
  // Before anything else is asked of it.
  auto joined = transaction::join(session, *backend);
  if (!joined) return refuse(std::move(joined.error()));
  if (auto ok = check_same(engine, session, *backend); !ok) {
    return refuse(std::move(ok.error()));
  }
  std::vector<NewJob> jobs;
  jobs.reserve(requests.size());
  for (const Request& request : requests) {
    auto job = engine.new_job(request.kind, request.args, request.options);
    if (!job) return refuse(std::move(job.error()));
    if (auto ok = check_job(*job, traits, *backend); !ok) {
      return refuse(std::move(ok.error()));
    }
    jobs.push_back(std::move(*job));
  }
  return (*joined)->insert(jobs);
}

Result<Inserted> enqueue(Engine& engine, soci::session& session, std::string_view kind,
                         const Json& args, const EnqueueOptions& options) {
  const Request request{std::string(kind), args, options};
  auto answers = enqueue(engine, session, std::span(&request, 1));
  if (!answers) return tl::unexpected(std::move(answers.error()));
  return std::move(answers->front());
}

}  // namespace carrel::sql
