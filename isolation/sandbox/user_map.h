// Who a process is inside its user namespace, and outside.
#pragma once

#include <sys/types.h>

namespace carrel::sandbox {

// Whether this process is root and can be `user` as well. A root that cannot, as in the
// user namespace of a container, is somebody else outside.
bool may_become(uid_t user);
// Such a root, but nobody else outside than the machine's own.
bool is_root_alone(uid_t user);

// Gives this process a new user and mount namespace, in which it is kInnerUser, and
// outside `user`. Its credentials in there are full. Needs one thread. 0, or errno;
// `mapped` says whether it was the map that failed.
int enter_user_namespace(uid_t user, gid_t group, bool& mapped);

// Of a process that was cloned into a user namespace by one that is kInnerUser in its
// own: it stays that. 0, or errno.
int map_self();

}  // namespace carrel::sandbox
