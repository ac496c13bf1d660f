// The lanes of a key in which jobs wait, for a limit or for a rate (limits.h, rates.h).
#pragma once

#include <compare>
#include <set>
#include <string>
#include <vector>

#include "server/statement.h"

namespace carrel::sql::server {

struct Line {
  std::string key;
  std::string lane;
  auto operator<=>(const Line&) const = default;
};

// Its cost is that of the lanes, however many jobs wait in them. The statements belong to
// one session, and are used as it is. Throws soci::soci_error.
class WaitingLines {
 public:
  // `ends` and `next`: of Statements, those of limits or those of rates. `ends` null:
  // what waits cannot be seen.
  WaitingLines(Session& session, const char* ends, const char* next);

  explicit operator bool() const noexcept { return static_cast<bool>(ends_); }
  // By key, then by lane. One statement; where there is `next`, one more for each lane
  // of a key but two.
  std::vector<Line> of(const std::set<std::string>& keys);

 private:
  std::string rows_;
  std::string key_;
  std::string lane_;
  std::string last_;
  std::string found_;
  int n_ = 0;
  Statement ends_;
  Statement next_;
};

}  // namespace carrel::sql::server
