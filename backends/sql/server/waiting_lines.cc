#include "server/waiting_lines.h"

#include <algorithm>
#include <cstddef>

#include "server/json_rows.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

WaitingLines::WaitingLines(Session& session, const char* ends, const char* next)
    : ends_(session, ends, use(rows_, "rows"), into(n_), into(lane_), into(last_)),
      next_(session, next, use(key_, "key"), use(lane_, "lane"), use(last_, "last"),
            into(found_)) {}

std::vector<Line> WaitingLines::of(const std::set<std::string>& keys) {
  std::vector<Line> lines;
  if (keys.empty()) return lines;
  struct Ends {
    const std::string& key;
    std::string first;
    std::string last;
  };
  std::vector<Ends> ends;
  const std::vector<std::string> names(keys.begin(), keys.end());
  JsonRows rows;
  for (std::size_t n = 0; n < names.size(); ++n) {
    rows.row().add("n", static_cast<long long>(n)).add_text("key", names[n]);
  }
  rows_ = rows.take();
  ends_.rows([&] {
    if (!lane_.empty())
      ends.push_back({names.at(static_cast<std::size_t>(n_)), lane_, last_});
  });
  for (const auto& [key, first, last] : ends) {
    lines.push_back({key, first});
    if (first == last) continue;
    key_ = key;
    lane_ = first;
    last_ = last;
    for (; next_.run(); lane_ = found_) lines.push_back({key, found_});
    lines.push_back({key, last});
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace carrel::sql::server
