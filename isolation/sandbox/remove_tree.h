// Removes what a program left, whatever it made of it.
#pragma once

#include <string>

namespace carrel::sandbox {

// `folder` and all below it: however deep, and whatever its modes, if they are this
// user's. No link is followed. For when no process is left that could change it
// meanwhile.
void remove_tree(const std::string& folder);

}  // namespace carrel::sandbox
