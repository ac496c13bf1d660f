// Keeps MariaDB's planner at skipping from lane to lane, where it would read all that
// waits.
#pragma once

#include <map>
#include <string>

#include "server/session.h"

namespace carrel::sql::mariadb {

// The planner skips where it believes a lane to be long, and goes by what it learned when
// the server opened the table, or had it analyzed: of one that was empty then it believes
// that each job has a lane of its own, and goes on to, however many came since. No hint
// of a statement changes that; ANALYZE does, at once, for all connections.
//
// Used by one thread at a time. What it has done, it knows of any session.
class LanePlans {
 public:
  // Asks how lanes would be found, one statement; has the table analyzed where available
  // jobs would all be read, those that ask for limits or the others, and are many. That
  // takes some 40 ms, holds up no claim, and commits: not within a transaction. Where it
  // does not help, since there are about as many lanes as jobs, it is done again only
  // when there are about twice as many.
  //
  // Where it cannot be analyzed, it is left as it is; where that is since somebody has
  // all tables locked, as a backup does, that is waited for for a second, and again in
  // the next call. Throws where the session is lost.
  void mend(server::Session& session);

 private:
  // With how many available jobs, by part of the statement.
  std::map<std::string, long long> analyzed_;
};

}  // namespace carrel::sql::mariadb
