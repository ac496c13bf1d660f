// Where a sandbox could not be made, in words: the feature that this machine lacks, and
// what can be done about it.
#pragma once

#include <carrel/result.h>

#include <string_view>

#include "wire.h"

namespace carrel::sandbox {

// A stage of a sandbox, rather than of any start of a program.
constexpr bool of_sandbox(process::Reply::Stage stage) noexcept {
  return stage > process::Reply::Stage::kExecute;
}

// "user namespaces", "landlock", …
std::string_view feature(process::Reply::Stage stage) noexcept;

// kUnsupported: "sandbox_unavailable: this machine has no landlock (…: errno 95); …".
// `what`: a path, or nothing.
Error unavailable(process::Reply::Stage stage, int error, std::string_view what);

}  // namespace carrel::sandbox
