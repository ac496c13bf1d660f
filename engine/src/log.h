// The library's own log lines.
//
// Threads: safe from any. Lines reach the sink one at a time. Not for use in a forked
// child: the sink's locks are the parent's.
#pragma once

#include <carrel/log.h>

#include <string_view>

namespace carrel {

// Lines below `level` go nowhere. Of the whole process: the engine opened last decides.
void set_log_level(LogLevel level) noexcept;

// One line; line breaks and other control characters in `text` become spaces. Never
// throws: a line that the sink cannot take is lost.
void log(LogLevel level, std::string_view text) noexcept;

// log() as what factories and isolations are handed.
LogFn log_function();

}  // namespace carrel
