#include "fork_to_child.h"

#include <cxxabi.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <string>

#include "frame.h"
#include "json_text.h"
#include "os.h"
#include "process_server.h"
#include "spawner.h"
#include "wording.h"

namespace carrel::process {
namespace {

void unblock_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// In the child, where nothing may be thrown past the caller's frames.
Result<Json> answer_of(const std::function<Result<Json>()>& fn, const ForkHooks& hooks) {
  try {
    if (hooks.in_child) hooks.in_child();
    unblock_signals();
    return fn();
  } catch (const std::exception& e) {
    return fail(Code::kFailed, std::string(what_of(e)), "fork_to");
  } catch (...) {
    return fail(Code::kFailed, "threw something that is no std::exception", "fork_to");
  }
}

// exit() destroys the calling thread's own objects before anything else, those of the
// host too; the last that was made is the first to go. This is like one of them, made
// anew in each child, also in the child of a child. Nobody hears the code of such a
// child; that of a process which it forks itself, such as a job of its own process
// server, is heard.
void leave_before_own_objects() {
  static pid_t owner;
  owner = getpid();
  const auto leave = [](void* /*unused*/) {
    if (getpid() != owner) return;
    std::fflush(stdout);
    std::fflush(stderr);
    _exit(1);
  };
  // The last names, by any address in it, the library that is to stay loaded.
  abi::__cxa_thread_atexit(leave, nullptr, &owner);
}

}  // namespace

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

[[noreturn]] void be_child_of_fork_to(pid_t parent, int socket,
                                      const std::function<Result<Json>()>& fn,
                                      const ForkHooks& hooks) noexcept {
  become_leader(parent);
  reset_signals();
  close_range(3, static_cast<unsigned>(socket) - 1, 0);
  close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
  // The number of its control socket may soon be that of something `fn` opens.
  forget_server();
  leave_at_exit();
  leave_before_own_objects();
  // What the host has in its buffers is the host's to print.
  __fpurge(stdout);
  __fpurge(stderr);
  // Until the parent holds this process by a pidfd, it must not end.
  char go = 0;
  if (recv(socket, &go, 1, 0) != 1) _exit(1);
  const auto answer = answer_of(fn, hooks);
  FrameType type = FrameType::kResult;
  std::string body;
  try {
    if (answer) body = json_text(*answer);
  } catch (const std::exception& e) {
    type = FrameType::kError;
    body = encode_error({Code::kInvalid, std::string("no JSON: ") + e.what(), "fork_to"});
  }
  if (!answer) {
    type = FrameType::kError;
    body = encode_error(answer.error());
  }
  std::fflush(stdout);
  std::fflush(stderr);
  const bool sent =
      send_all(socket, encode_frame_header(type, body.size())) && send_all(socket, body);
  _exit(sent ? 0 : 1);
}

}  // namespace carrel::process
