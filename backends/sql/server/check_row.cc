#include "server/check_row.h"

#include "check.h"
#include "server/json_rows.h"

namespace carrel::sql::server {
namespace {

Result<void> check_key(std::string_view whose, const NewJob& job, std::string_view key,
                       std::string_view origin) {
  return check_text("the " + std::string(whose) + "'s key of \"" + job.kind + "\"", key,
                    origin);
}

}  // namespace

Result<void> check_text(std::string_view what, std::string_view text,
                        std::string_view origin) {
  if (is_text(text)) return {};
  return fail(Code::kInvalid, std::string(what) + " is not UTF-8, which this store needs",
              std::string(origin));
}

Result<void> check_row(const NewJob& job, std::uint64_t max_payload,
                       std::string_view origin) {
  constexpr std::uint64_t kLongestRequest = 512;  // an index holds it
  if (auto ok = check(job, max_payload, origin); !ok) return ok;
  if (auto ok = check_text("the queue's name", job.queue, origin); !ok) return ok;
  if (auto ok = check_text("the job's kind", job.kind, origin); !ok) return ok;
  if (job.limit) {
    if (auto ok = check_key("limit", job, job.limit->key, origin); !ok) return ok;
  }
  if (job.rate) {
    if (auto ok = check_key("rate", job, job.rate->key, origin); !ok) return ok;
  }
  return check_size("the request id", job.request_id.size(), kLongestRequest, origin);
}

}  // namespace carrel::sql::server
