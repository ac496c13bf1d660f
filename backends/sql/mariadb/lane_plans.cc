#include "mariadb/lane_plans.h"

#include <mysqld_error.h>
#include <soci/mysql/soci-mysql.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "mariadb/errors.h"
#include "mariadb/statements.h"

namespace carrel::sql::mariadb {
namespace {

constexpr std::string_view kJobs = "carrel_jobs";
constexpr long long kMany = 1000;  // fewer are read in less time than a claim's commit

struct Found {
  std::string part;    // of the statement
  long long rows = 0;  // about
  bool skips = false;
};

// What EXPLAIN has in a row: id, select_type, table, type, possible_keys, key, key_len,
// ref, rows, Extra.
std::vector<Found> ask(server::Session& session) {
  constexpr std::size_t kPart = 0, kTable = 2, kRows = 8, kExtra = 9;
  std::vector<Found> all;
  session.run_together(
      std::string("EXPLAIN ") + kStatements.all_lanes,
      [&](std::size_t, std::span<const char* const> cells) {
        if (cells.size() <= kExtra || cells[kPart] == nullptr ||
            cells[kTable] == nullptr || cells[kTable] != kJobs || cells[kRows] == nullptr)
          return;
        const std::string_view extra = cells[kExtra] != nullptr ? cells[kExtra] : "";
        all.push_back({cells[kPart], std::stoll(cells[kRows]),
                       extra.find("Using index for group-by") != std::string_view::npos});
      });
  return all;
}

// False: to be tried again.
bool analyze(server::Session& session) {
  try {
    session.run_together(std::string("SET STATEMENT lock_wait_timeout = 1 FOR "
                                     "ANALYZE NO_WRITE_TO_BINLOG TABLE ")
                             .append(kJobs),
                         [](std::size_t, std::span<const char* const>) {});
  } catch (const soci::mysql_soci_error& e) {
    if (ends_session(static_cast<int>(e.err_num_))) throw;
    return static_cast<int>(e.err_num_) != ER_LOCK_WAIT_TIMEOUT;
  }
  return true;
}

}  // namespace

void LanePlans::mend(server::Session& session) {
  bool analyzes = false;
  for (const Found& found : ask(session)) {
    long long& analyzed = analyzed_[found.part];
    analyzed = found.skips ? 0 : std::min(analyzed, found.rows);
    if (found.skips || found.rows < std::max(kMany, 2 * analyzed)) continue;
    if (!analyzes && !analyze(session)) return;
    analyzes = true;
    analyzed = found.rows;
  }
}

}  // namespace carrel::sql::mariadb
