#include <carrel/context.h>

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>

#include "json_text.h"
#include "wording.h"

namespace carrel {

const Json& Context::args() {
  if (args_) return *args_;
  if (nests_too_deep(job_.payload)) {
    throw std::length_error("the arguments nest deeper than " +
                            std::to_string(kMaxJsonDepth));
  }
  if (has_nul(job_.payload)) {
    throw std::invalid_argument(
        "the arguments are not JSON: there is a NUL byte in them");
  }
  args_ = job_.payload.empty() ? Json() : Json::parse(job_.payload);
  return *args_;
}

Duration Context::remaining() const noexcept {
  if (!deadline_) return Duration::max();
  const auto left = *deadline_ - std::chrono::steady_clock::now();
  return std::max(Duration{0}, std::chrono::duration_cast<Duration>(left));
}

tl::unexpected<Error> Context::snooze(Duration in) {
  return tl::unexpected<Error>(Error{Code::kSnoozed, "snoozed", "", 0, in});
}

tl::unexpected<Error> Context::discard(std::string message) {
  return fail(Code::kDiscarded, std::move(message));
}

tl::unexpected<Error> Context::retry_in(Duration in, std::string message) {
  return tl::unexpected<Error>(Error{Code::kFailed, std::move(message), "", 0, in});
}

tl::unexpected<Error> Context::error(std::string message) {
  return fail(Code::kFailed, std::move(message));
}

Result<Json> invoke(const Handler& handler, Context& job) noexcept {
  try {
    auto answer = handler(job);
    if (!answer || !job.is_completing_in_transaction()) return answer;
    // The store knows whether that was committed: where it was, this changes nothing.
    return fail(Code::kFailed,
                "the handler completed its job in a transaction and did not commit it");
  } catch (const std::exception& e) {
    return fail(Code::kFailed, std::string(what_of(e)));
  } catch (...) {
    return fail(Code::kFailed, "the handler threw something that is no std::exception");
  }
}

}  // namespace carrel
