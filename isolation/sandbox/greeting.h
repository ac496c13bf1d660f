// What a room says first on its channel, after a probe has run in a sandbox of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire.h"

namespace carrel::sandbox {

struct Greeting {
  process::Reply::Stage stage = process::Reply::Stage::kNone;  // kNone: it works
  int error = 0;
  std::string what;
  std::vector<std::string> enforced;  // "namespaces", "seccomp", …
};
std::string encode(const Greeting& greeting);
std::optional<Greeting> decode_greeting(std::string_view in);

}  // namespace carrel::sandbox
