#include "verdict.h"

namespace grader {

using carrel::OutcomeClass;

std::string_view to_string(Verdict verdict) {
  constexpr std::string_view kNames[] = {"AC", "WA", "TLE", "MLE", "RE", "CE", "OLE"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::optional<Verdict> trouble_of(const Ran& ran, std::uint64_t memory) {
  // Whatever else it ran into: how much a program takes is the same on each machine, how
  // long it takes is not.
  if (ran.klass == OutcomeClass::kMemoryLimit || ran.usage.max_rss_bytes > memory) {
    return Verdict::kMemoryLimit;
  }
  switch (ran.klass) {
    case OutcomeClass::kCpuTimeout:
    case OutcomeClass::kWallTimeout:
      return Verdict::kTimeLimit;
    case OutcomeClass::kOutputLimit:
    case OutcomeClass::kFsizeLimit:
      return Verdict::kOutputLimit;
    default:
      break;
  }
  if (ran.klass != OutcomeClass::kOk) return Verdict::kRuntimeError;
  return std::nullopt;
}

bool is_ours(OutcomeClass klass) {
  switch (klass) {
    case OutcomeClass::kOk:
    case OutcomeClass::kExitNonzero:
    case OutcomeClass::kSignaled:
    case OutcomeClass::kMemoryLimit:
    case OutcomeClass::kCpuTimeout:
    case OutcomeClass::kWallTimeout:
    case OutcomeClass::kOutputLimit:
    case OutcomeClass::kFsizeLimit:
      return false;
    default:
      return true;
  }
}

}  // namespace grader
