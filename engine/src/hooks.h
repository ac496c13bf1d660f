// Calls the host's hooks; what they throw is logged and goes no further.
#pragma once

#include <carrel/store.h>

#include <exception>
#include <string>
#include <vector>

#include "wording.h"

namespace carrel {

template <class Hook, class... Args>
void tell(const std::vector<Hook>& hooks, const LogFn& log, const Args&... args) {
  for (const auto& hook : hooks) {
    try {
      hook(args...);
    } catch (const std::exception& e) {
      log(LogLevel::kError, std::string("a hook threw: ").append(what_of(e)));
    } catch (...) {
      log(LogLevel::kError, "a hook threw something that is no std::exception");
    }
  }
}

}  // namespace carrel
