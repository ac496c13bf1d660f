// The child of fork_to().
#pragma once

#include <carrel/fork_to.h>
#include <sys/types.h>

#include <functional>
#include <string_view>

namespace carrel::process {

// False: nobody listens. Blocks until all is sent.
bool send_all(int socket, std::string_view bytes);

// In a process that was just forked from `parent`, with its signals blocked. Waits for a
// byte on `socket`, runs `fn`, says what it answered there, in one frame (frame.h), and
// ends.
[[noreturn]] void be_child_of_fork_to(pid_t parent, int socket,
                                      const std::function<Result<Json>()>& fn,
                                      const ForkHooks& hooks) noexcept;

}  // namespace carrel::process
