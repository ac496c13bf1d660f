// Requests that wait at the broker for a job or a ticket.
#pragma once

#include <list>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "call.h"

namespace carrel::zmq {

// Calls that take the same kinds of the same queues stand in one line; who waits longest
// is served first. Threads: one.
class Parking {
 public:
  void park(const CallPtr& call);
  // False: it is not here.
  bool remove(const CallPtr& call);
  std::size_t size() const noexcept { return places_.size(); }

  // Takes out as many as these may serve.
  std::vector<CallPtr> call_for(std::span<const Ticket> tickets);
  // Takes the first out of each line.
  std::vector<CallPtr> call_first();
  std::vector<CallPtr> call_all();

 private:
  struct Names {
    std::vector<std::string> queues;
    std::vector<std::string> kinds;
    std::vector<std::string> without;  // queues of which it takes none now
    bool want(const std::string& queue, const std::string& kind) const;
    bool operator<(const Names& other) const {
      return std::tie(queues, kinds, without) <
             std::tie(other.queues, other.kinds, other.without);
    }
  };
  using Line = std::list<CallPtr>;
  struct Place {
    std::map<Names, Line>::iterator line;
    Line::iterator at;
  };
  static Names names_of(const Call& call);
  CallPtr take_front(std::map<Names, Line>::iterator line);

  std::map<Names, Line> lines_;  // none is empty
  std::unordered_map<const Call*, Place> places_;
};

}  // namespace carrel::zmq
