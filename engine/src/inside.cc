#include "inside.h"

namespace carrel {
namespace {
thread_local const Inside* innermost_code = nullptr;
}  // namespace

Inside::Inside(const Door& door, Context* job) noexcept
    : door_(door), job_(job), outer_(innermost_code) {
  innermost_code = this;
}

Inside::~Inside() { innermost_code = outer_; }

const Inside* Inside::of(const Door& door) noexcept {
  for (const Inside* code = innermost_code; code != nullptr; code = code->outer_) {
    if (&code->door_ == &door) return code;
  }
  return nullptr;
}

}  // namespace carrel
