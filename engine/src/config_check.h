// What a configuration asks of the isolations that this process has.
#pragma once

#include <carrel/config.h>
#include <carrel/registry.h>

namespace carrel {

// Beyond validate(): every isolation named is registered, and a kind has a command
// exactly where its isolation runs programs. Call after the plugins are loaded. Opens
// nothing.
Result<void> check_against(const Config& config, const Registry& registry);

}  // namespace carrel
