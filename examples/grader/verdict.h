// From how a program ended to what a student is told.
#pragma once

#include <carrel/isolation.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grader {

enum class Verdict : std::uint8_t {
  kAccepted,
  kWrongAnswer,
  kTimeLimit,
  kMemoryLimit,
  kRuntimeError,
  kCompileError,
  kOutputLimit,
};
std::string_view to_string(
    Verdict verdict);  // "AC", "WA", "TLE", "MLE", "RE", "CE", "OLE"

// How one program ended.
struct Ran {
  carrel::OutcomeClass klass = carrel::OutcomeClass::kOk;
  std::string message;  // of what was no success
  std::string output;
  std::string complaint;  // the end of its stderr
  carrel::Usage usage;
  bool leftovers = false;             // it left processes behind, which were ended
  std::vector<std::string> enforced;  // of its sandbox
};

// Nothing: it ran to a good end. Else why not, never kAccepted or kWrongAnswer.
//
// kMemoryLimit is told from evidence: the control group's where there is one
// (memory_limit); else that more was resident than `memory`, above which the limit on
// address space lies; also where its time was out, too. A program that is refused what it
// asks for, and used little, has kRuntimeError.
std::optional<Verdict> trouble_of(const Ran& ran, std::uint64_t memory);

// It says nothing about the program: the machine, the sandbox or the engine failed.
bool is_ours(carrel::OutcomeClass klass);

}  // namespace grader
