// Where the library's own log lines go.
#pragma once

#include <carrel/store.h>

#include <functional>
#include <string_view>

namespace carrel {

// Replaces the sink of every engine in this process; {} goes back to the default, spdlog
// to stderr. Called from any thread, one line at a time, without a newline. It must not
// throw and must not call an engine.
void set_log_sink(LogFn sink);

}  // namespace carrel
