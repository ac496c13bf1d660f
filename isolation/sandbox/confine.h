// What a process cannot take back, nor what it starts: no_new_privs, Landlock, the
// filter.
#pragma once

#include <string_view>

#include "wire.h"

namespace carrel::sandbox {

// `ruleset`: of Landlock; -1: none. `filter`: as compile_filter() makes it; empty: none.
// kNone: this process is held to them. Else where the kernel refused, with errno. Only
// system calls.
process::Reply::Stage confine(int ruleset, std::string_view filter) noexcept;

}  // namespace carrel::sandbox
