// What the memory store takes.
#pragma once

#include <carrel/store.h>

#include <string>

namespace carrel::memory {

// kInvalid: the job cannot be stored, and why. `checked`: one that passed, whose names
// need no second look; may be null.
Result<void> check(const NewJob& job, const NewJob* checked);
Result<void> check_queue(const std::string& name);

}  // namespace carrel::memory
