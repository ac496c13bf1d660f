// Apart from enqueue.cc, so that a handler's program needs no engine.
#include <carrel/sql_transaction.h>

#include <algorithm>
#include <chrono>

#include "check.h"
#include "json_text.h"
#include "outcome.h"
#include "transaction/join.h"

namespace carrel::sql {
namespace {

using transaction::kOrigin;

// Its worker confirms it, and one that finds no row takes its lease for lost: the row is
// to outlive that report, also where the store is away for a while.
constexpr Duration kLeast = std::chrono::minutes(10);

}  // namespace

Result<void> complete(Context& job, soci::session& session, const Json& result) {
  const auto backend = transaction::backend_of(session);
  if (!backend) return tl::unexpected(backend.error());
  Retention retention;
  retention.completed = std::max(job.kept(), kLeast);
  const auto joined = transaction::join(session, *backend, retention);
  if (!joined) return tl::unexpected(joined.error());
  Finish finish;
  finish.lease = job.job().lease;
  try {
    if (!result.is_null()) finish.result = json_text(result);
  } catch (const std::exception& e) {
    return fail(Code::kInvalid, std::string("the result cannot be JSON: ") + e.what(),
                kOrigin);
  }
  if (auto ok = check_result(finish.result, job.result_limit(), kOrigin); !ok) return ok;
  const std::string what = "the result of job " + std::to_string(value(finish.lease.id));
  if (auto ok = check_size(what, finish.result.size(), (*joined)->max_payload(), kOrigin);
      !ok) {
    return ok;
  }
  // From here on the handler's own success is not enough, also where this call fails.
  job.completes_in_transaction();
  const auto finished = (*joined)->finish(finish);
  if (!finished) return tl::unexpected(finished.error());
  if (finished->kind == Finished::Kind::kStale) {
    return fail(Code::kStale,
                "job " + std::to_string(value(finish.lease.id)) +
                    ": its lease was lost, and the run is somebody else's: roll back",
                kOrigin);
  }
  return {};
}

}  // namespace carrel::sql
