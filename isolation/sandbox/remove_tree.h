// Removes what a program left, whatever it made of it.
#pragma once

#include <string>

namespace carrel::sandbox {

// `folder` and all below it: however deep or wide, and whatever its modes, if they are
// this user's; in a time that grows with how much it is. No link is followed, and nothing
// outside is touched, also where another process changes it meanwhile: then some of it
// may stay, and it takes as long as that one goes on.
void remove_tree(const std::string& folder);

}  // namespace carrel::sandbox
