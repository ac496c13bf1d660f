#include "outcome.h"

#include "json_text.h"

namespace carrel {
namespace {

OutcomeClass class_of(Code code) noexcept {
  switch (code) {
    case Code::kSnoozed:
      return OutcomeClass::kSnoozed;
    case Code::kDiscarded:
    case Code::kTooLarge:
      return OutcomeClass::kDiscarded;
    default:
      // kCancelled too: that was another job, whose error the handler passes on. What is
      // asked of this one comes with a reason to stop.
      return OutcomeClass::kFailed;
  }
}

Outcome failed(Error error, std::optional<StopReason> stop) {
  // A handler that snoozes or discards knows what it wants, stop or no stop.
  const bool own_words = error.code == Code::kSnoozed || error.code == Code::kDiscarded;
  const auto klass = stop && !own_words ? class_of(*stop) : class_of(error.code);
  return failure(klass, std::move(error));
}

}  // namespace

Outcome failure(OutcomeClass klass, Error error) {
  Outcome out;
  out.klass = klass;
  out.error = std::move(error);
  return out;
}

bool is_plain(const Outcome& o) noexcept {
  return o.klass == OutcomeClass::kOk && o.result.empty() && o.exit_code == 0 &&
         o.signal == 0 && o.usage.cpu == Duration::zero() && o.usage.max_rss_bytes == 0 &&
         o.stderr_tail.empty() && !o.enforced && !o.leftover_killed;
}

OutcomeClass class_of(StopReason stop) noexcept {
  return stop == StopReason::kTimeout ? OutcomeClass::kWallTimeout
                                      : OutcomeClass::kCancelled;
}

Result<void> check_result(std::string_view result, std::uint64_t limit,
                          std::string origin) {
  if (result.size() <= limit) return {};
  return fail(Code::kTooLarge,
              "the result has " + std::to_string(result.size()) +
                  " bytes; its limit is " + std::to_string(limit),
              std::move(origin));
}

Outcome outcome_of(Result<Json>&& answer, std::uint64_t result_bytes,
                   std::optional<StopReason> stop) {
  if (!answer) return failed(std::move(answer.error()), stop);
  if (answer->is_null()) return {};
  std::string result;
  try {
    result = json_text(*answer);
  } catch (const std::exception& e) {
    return failed(
        {Code::kDiscarded, std::string("the result cannot be JSON: ") + e.what()},
        std::nullopt);
  }
  if (auto ok = check_result(result, result_bytes); !ok) {
    return failed(std::move(ok.error()), std::nullopt);
  }
  Outcome out;
  out.result = std::move(result);
  return out;
}

}  // namespace carrel
