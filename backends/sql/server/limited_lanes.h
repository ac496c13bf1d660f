// Jobs with limits or rates that may be tried, found by index seeks alone.
//
// A lane here is a queue, a kind and a priority, written as one text: lanes that wait for
// one key take turns, and one column is all that the indexes need.
#pragma once

#include <carrel/queue.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/statement.h"
#include "server/statements.h"

namespace carrel::sql::server {

struct LimitedLane {
  std::string queue;
  std::string kind;
  std::int16_t priority = 0;

  std::string text() const;
  static LimitedLane of(std::string_view text);
};

// The statements belong to one session, and are used as it is.
class LimitedLanes {
 public:
  // The statements that find lanes, and their best. `find` null: there are none.
  LimitedLanes(Session& session, const char* find, const char* best);

  // Those with available jobs that `demand` names and that are not paused; a null demand
  // names all.
  std::vector<LimitedLane> find(const Demand* demand);

  struct Candidate {
    LimitedLane lane;
    long long run_at = 0;
    long long id = 0;
    std::string limit_key;  // empty: it has none; so of the other
    std::string rate_key;
  };
  // Of each of these up to `most`, best first, that have not expired by then. Whether
  // they may run is for Limits to say.
  std::vector<Candidate> candidates(const std::vector<LimitedLane>& lanes,
                                    std::size_t most, Time at);

 private:
  std::string lane_;
  long long most_ = 0;
  long long now_ = 0;
  long long id_ = 0;
  long long run_at_ = 0;
  std::string limit_key_;
  std::string rate_key_;
  Statement find_;
  Statement best_;
};

}  // namespace carrel::sql::server
