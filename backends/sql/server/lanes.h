// Which jobs may be claimed next, found by index seeks alone.
#pragma once

#include <carrel/demand.h>
#include <carrel/queue.h>

#include <string>
#include <vector>

#include "server/statement.h"
#include "server/statements.h"
#include "waiters.h"

namespace carrel::sql::server {

// Whether `demand` takes jobs of this queue and kind.
bool names(const Demand& demand, const std::string& queue, const std::string& kind);

// The statements belong to one session, and are used as it is.
class Lanes {
 public:
  Lanes(Session& session, const Statements& statements);

  // The lanes with available jobs that `demand` names and that are not paused; a null
  // demand names all.
  std::vector<Lane> find(const Demand* demand);

  // Of `lanes`, how many of the `max` best of all are in each, and whether it holds more.
  struct Share {
    std::size_t take = 0;
    bool more = false;
  };
  struct Best {
    std::vector<Ticket> tickets;  // best first
    std::vector<Share> shares;    // aligned with the lanes
  };
  // In the demand's order; `rooms`: how many of each queue there may be.
  Best best(const std::vector<Lane>& lanes, const Demand& demand, std::size_t max,
            QueueRooms rooms, Time now);

  struct Candidate {
    std::size_t rank;  // of its queue
    long long priority;
    long long run_at;
    long long id;
    std::size_t lane;
    auto operator<=>(const Candidate&) const = default;
  };
  // Of each of the lanes one more than `max`, if it has so many; best first.
  std::vector<Candidate> candidates(const std::vector<Lane>& lanes, const Demand& demand,
                                    std::size_t max, Time now);

 private:
  std::string queue_;
  std::string kind_;
  std::string rows_;
  long long now_ = 0;
  long long most_ = 0;
  long long n_ = 0;
  long long id_ = 0;
  long long priority_ = 0;
  long long run_at_ = 0;
  Statement find_;
  Statement best_of_lane_;
  Statement best_of_lanes_;
};

}  // namespace carrel::sql::server
