#include "server/waiting_lines.h"

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
    std::string first;  // empty: nothing waits
    std::string last;
  };
  std::vector<Ends> ends(keys.size());
  JsonRows rows;
  long long n = 0;
  for (const std::string& key : keys) rows.row().add("n", n++).add_text("key", key);
  rows_ = rows.take();
  ends_.rows([&] { ends.at(static_cast<std::size_t>(n_)) = {lane_, last_}; });
  auto key = keys.begin();
  for (const auto& [first, last] : ends) {
    key_ = *key++;
    if (first.empty()) continue;
    lines.push_back({key_, first});
    if (first == last) continue;
    lane_ = first;
    last_ = last;
    for (; next_.run(); lane_ = found_) lines.push_back({key_, found_});
    lines.push_back({key_, last});
  }
  return lines;
}

}  // namespace carrel::sql::server
