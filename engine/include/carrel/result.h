// Errors and results: the vocabulary of every carrel interface.
//
// Nothing throws across a carrel interface. A call that can fail returns Result<T>, which
// is tl::expected and will become std::expected. A handler may throw; the engine turns
// that into a failed attempt.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace carrel {

// Every duration of the library is in microseconds. Zero means "none" where a field says
// so.
using Duration = std::chrono::microseconds;

// What kind of failure it was, for programs; the message is for people.
enum class Code : std::uint8_t {
  kInvalid = 1,  // the caller's input is wrong; the same call will fail again
  kNotFound,     // no such job, kind, queue, file
  kExists,       // it is there already
  kStale,        // the run has lost its lease; nothing was changed
  kUnavailable,  // the store or queue is away, or another holds what is needed: try again
  kTimeout,      // a deadline passed before there was an answer
  kTooLarge,     // a payload or result is past its limit
  kUnsupported,  // this backend, isolation or machine cannot do it
  kCorrupt,      // stored data cannot be understood
  kInternal,     // a defect of the library or of a plugin
  kFailed,       // a job's handler or program failed
  kCancelled,    // the job was cancelled
  kSnoozed,      // a handler asks to be run again after retry_in; costs no attempt
  kDiscarded,    // a handler's failure that no retry can mend
};

// The stable lower-case name: "invalid", "not_found", …
std::string_view to_string(Code code) noexcept;
std::optional<Code> parse_code(std::string_view name) noexcept;

struct Error {
  Code code = Code::kInternal;
  std::string message;  // a sentence that names the thing
  std::string origin =
      {};          // the component that said it: "sqlite", "config", "exec"; may be empty
  int native = 0;  // the errno or the backend's own code; 0: none
  // From a handler: run again after this long. With kSnoozed it costs no attempt; with
  // any other code it replaces the back-off of the kind. 0: not asked.
  Duration retry_in{0};
};

template <class T>
using Result = tl::expected<T, Error>;

// `return fail(Code::kNotFound, "no job 7");`
inline tl::unexpected<Error> fail(Code code, std::string message, std::string origin = {},
                                  int native = 0) {
  return tl::unexpected<Error>(
      Error{code, std::move(message), std::move(origin), native, Duration{0}});
}

}  // namespace carrel
