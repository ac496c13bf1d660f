#include <carrel/conformance/faults.h>

#include <csignal>
#include <string>
#include <utility>

namespace carrel::conformance {
namespace {

constexpr std::array<std::string_view, kFaultPointCount> kPointNames = {
    "before_insert_commit", "after_insert_commit",  "before_claim_commit",
    "after_claim_commit",   "before_finish_commit", "after_finish_commit_before_reply",
    "before_beat_commit"};

}  // namespace

std::string_view to_string(FaultPoint point) noexcept {
  return kPointNames.at(static_cast<std::size_t>(point));
}

std::optional<FaultPoint> parse_fault_point(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kPointNames.size(); ++i) {
    if (kPointNames[i] == name) return static_cast<FaultPoint>(i);
  }
  return std::nullopt;
}

void FaultPlan::arm(FaultPoint point, FaultMode mode, std::uint64_t after,
                    std::uint64_t times) {
  const std::lock_guard lock(mutex_);
  Arm& arm = arms_.at(static_cast<std::size_t>(point));
  arm.mode = mode;
  arm.after = after;
  arm.times = times;
}

void FaultPlan::disarm(FaultPoint point) { arm(point, FaultMode::kError, 0, 0); }

std::uint64_t FaultPlan::happened(FaultPoint point) const {
  const std::lock_guard lock(mutex_);
  return arms_.at(static_cast<std::size_t>(point)).happened;
}

std::optional<Error> FaultPlan::pass(FaultPoint point) {
  FaultMode mode{};
  {
    const std::lock_guard lock(mutex_);
    Arm& arm = arms_.at(static_cast<std::size_t>(point));
    if (arm.times == 0) return std::nullopt;
    if (arm.after > 0) {
      --arm.after;
      return std::nullopt;
    }
    --arm.times;
    ++arm.happened;
    mode = arm.mode;
  }
  switch (mode) {
    case FaultMode::kKill:
      raise(SIGKILL);
      break;
    case FaultMode::kStop:
      // To this thread, so that it stops before it takes another step.
      raise(SIGSTOP);
      return std::nullopt;
    case FaultMode::kError:
      break;
  }
  return Error{Code::kUnavailable,
               "the fault plan says so: " + std::string(to_string(point)), "faults"};
}

}  // namespace carrel::conformance
