// Synthetic work: CPU time and nothing else.
#pragma once

#include <carrel/context.h>

namespace carrel::cli {

// Returns when this thread has used `work` more of CPU time.
void burn(Duration work) noexcept;

// The same as a handler, with {"work_us": n}.
Result<Json> spin_handler(Context& job);

}  // namespace carrel::cli
