// Who a process is inside its user namespace, and outside.
#pragma once

#include <sys/types.h>

namespace carrel::sandbox {

// Gives this process a new user and mount namespace, in which it is kInnerUser, and
// outside `user`. Its credentials in there are full. Needs one thread. 0, or errno;
// `mapped` says whether it was the map that failed.
int enter_user_namespace(uid_t user, gid_t group, bool& mapped);

// Of a process that was cloned into a user namespace by one that is kInnerUser in its
// own: it stays that. 0, or errno.
int map_self();

}  // namespace carrel::sandbox
