// A closure over this process's memory, run in a direct fork of this process.
//
//   auto sum = carrel::fork_to(5s, [&] { return expensive(data); });  // Result<T>
//
// A crash of `fn`, a hang, or memory that it leaks costs the caller nothing but an error.
// Each call forks the whole host: its cost grows with the host's memory (90 ms at 2 GB),
// and other threads that write meanwhile are slowed down. For jobs use isolation `fork`.
#pragma once

#include <carrel/context.h>

#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace carrel {

// As for pthread_atfork, for what the host must bring into order around one call. They
// run with the signals of the calling thread blocked.
struct ForkHooks {
  std::function<void()> before;     // in the caller
  std::function<void()> in_parent;  // in the caller, also where the fork failed
  std::function<void()> in_child;   // before `fn`; if it throws, that is the answer
};

namespace detail {
Result<Json> fork_and_call(Duration timeout, const std::function<Result<Json>()>& fn,
                           const ForkHooks& hooks);
}  // namespace detail

// Blocks until `fn` has answered, or `timeout` has passed; 0: it has all the time, less:
// none. `fn` returns void, T or Result<T>, T convertible to and from Json; so does this.
// Errors: what `fn` returned or threw; kTimeout; kUnavailable: no process, memory or
// descriptor for it, `native` is errno; kTooLarge: an answer of 4 GiB or more as JSON;
// kInvalid: it is none as JSON, or no T again (NaN and infinity are null there); kFailed:
// its process died, `native` is the signal, or ended without an answer. Any number of
// threads may call it at once.
//
// In the child there is one thread, the caller's. It has stdio and no other descriptor, a
// session of its own, signals at their defaults; no destructor or exit function of the
// host runs. malloc and stdio work, also where other threads were inside them. But `fn`
// must not take a lock that another thread may hold (it would wait until the time-out; so
// may the child itself, where another thread is within exit() at that moment), nor use
// the host's connections, threads, logger or sockets: open what you need.
//
// The child is the host's: a host that waits for any child may see it, and its SIGCHLD;
// neither changes the answer. What `fn` leaves running in its process group dies with it;
// before Linux 6.9 not where the host ignores SIGCHLD, or has waited for the child
// itself.
template <class F>
auto fork_to(Duration timeout, F fn, const ForkHooks& hooks = {}) {
  using R = std::invoke_result_t<F&>;
  using T = typename detail::ResultOf<R>::type;
  using Value = std::conditional_t<detail::ResultOf<R>::is_result, T, R>;
  auto answer = detail::fork_and_call(
      timeout, [&] { return detail::as_json_result(fn); }, hooks);
  using Answer = Result<Value>;
  if (!answer) return Answer(tl::unexpected<Error>(std::move(answer.error())));
  if constexpr (std::is_void_v<Value>) {
    return Answer();
  } else {
    try {
      return Answer(answer->template get<Value>());
    } catch (const std::exception& e) {
      return Answer(fail(Code::kInvalid, std::string("fork_to: the answer: ") + e.what(),
                         "fork_to"));
    }
  }
}

}  // namespace carrel
