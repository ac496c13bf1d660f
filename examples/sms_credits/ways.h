// The ways in which the same messages are sent.
#pragma once

#include <string>
#include <vector>

namespace sms {

enum class Action {
  kCheckThenSet,  // look at the credits, send, take one off
  kHold,          // the same, by the host's own threads, each time in Engine::hold
  kReserve,       // take one off and enqueue the sending in one transaction
  kComplete,      // take one off, enqueue the sending and complete in one transaction
};

struct Way {
  std::string name;
  std::string what;       // for the table: what guards it
  std::string isolation;  // of its jobs
  std::size_t processes = 1;
  Action action = Action::kCheckThenSet;
  bool limit = false;  // one job of a community at a time, in all processes
  bool kill = false;   // processes die by kill -9 in the middle
  bool right = false;  // it must be, in every run
  std::string why;     // for the page, in a reader's words
};

const std::vector<Way>& ways();
const Way& way(const std::string& name);  // that there is

}  // namespace sms
