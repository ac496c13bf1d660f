// Which jobs may be claimed next, found by index seeks alone.
#pragma once

#include <carrel/demand.h>
#include <carrel/queue.h>

#include <string>
#include <vector>

#include "statement.h"
#include "waiters.h"

namespace carrel::sql::sqlite {

// The statements belong to one session, and are used as it is. They throw
// soci::soci_error, and leave no snapshot open.
class Lanes {
 public:
  explicit Lanes(soci::session& session);

  std::vector<std::string> paused();  // sorted

  // The lanes with available jobs that `demand` names and that are not paused; a null
  // demand names all. Costs a few seeks a lane, however many jobs are in it.
  std::vector<Lane> find(const Demand* demand);

  struct Best {
    std::vector<Ticket> tickets;  // best first; at most demand.max
    std::vector<Lane> leftover;   // lanes that hold more
  };
  // `rooms`: how many of each queue there may be.
  Best best(const Demand& demand, QueueRooms rooms, Time now);
  // Of these lanes, at most `max`, in the demand's order.
  Best best(const std::vector<Lane>& lanes, const Demand& demand, std::size_t max,
            QueueRooms rooms, Time now);

 private:
  std::vector<Lane> all();

  std::string queue_;
  std::string kind_;
  long long now_ = 0;
  long long most_ = 0;
  std::string next_queue_;
  std::string next_kind_;
  long long id_ = 0;
  int priority_ = 0;
  long long run_at_ = 0;
  Statement find_paused_;
  Statement find_queue_;
  Statement find_kind_;
  Statement find_best_;
};

}  // namespace carrel::sql::sqlite
