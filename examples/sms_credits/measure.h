// Runs trials in processes of their own, and counts what the gateway sent.
#pragma once

#include <carrel/result.h>

#include <string>

#include "gateway.h"
#include "results.h"

namespace sms {

struct Plan {
  std::string store;  // a URL; a relative file of SQLite is in a folder of the trial
  std::size_t credits = 100;
  std::size_t recipients = 500;
  std::size_t at_once = 8;
};

// One more run of this group. `number` names it. kCancelled: the user interrupted.
// trial::become_reaper() was called.
carrel::Result<Run> measure(const Plan& plan, Gateway& gateway, std::size_t number,
                            const Way& way);

}  // namespace sms
