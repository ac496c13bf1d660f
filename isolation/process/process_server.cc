#include "process_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <typeindex>
#include <vector>

#include "birth.h"
#include "no_forks.h"

namespace carrel::process {
namespace {

constexpr std::uint64_t kLarge = 256ULL << 20;
constexpr const char* kWaysOut =
    "; call carrel::prefork() before they start, or carrel::main_hook() first thing in "
    "main";

// What is known of one: whether it is a preload, its type, and which plain function it
// is.
using Hook = std::tuple<bool, std::type_index, void (*)()>;

// With server_lock() held.
struct State {
  const pid_t process = getpid();
  bool making = false;  // a thread makes one, without the lock
  std::condition_variable_any made;
  bool hooked = false;
  std::optional<Born> server;
  // What the handlers are that it was forked with; empty: its setup alone knows.
  std::map<std::string, std::type_index, std::less<>> handlers;
  std::vector<Hook> hooks;  // likewise
};

// Never deleted: the server lives as long as the process. A process that is forked off
// this one has a state of its own: it must not use this one's server, and has no thread
// that makes one, or waits for that.
State& state(bool anew = false) {
  static State* s = new State;
  if (anew || s->process != getpid()) {
    s->server.reset();
    const bool hooked = s->hooked && !anew;
    s = new State;
    s->hooked = hooked;
  }
  return *s;
}

bool alive(State& s) {
  if (!s.server) return false;
  pollfd control{s.server->control.get(), 0, 0};
  if (poll(&control, 1, 0) > 0 && (control.revents & (POLLHUP | POLLERR)) != 0) {
    s.server.reset();
  }
  return s.server.has_value();
}

// Once nobody else makes one. False: `stop` was asked for.
bool settled(State& s, std::unique_lock<std::mutex>& lock, std::stop_token stop = {}) {
  return s.made.wait(lock, std::move(stop), [&s] { return !s.making; });
}

// While it lives this thread makes one, and holds nobody up who only looks.
class Making {
 public:
  Making(State& s, std::unique_lock<std::mutex>& lock) : state_(s), lock_(lock) {
    state_.making = true;
    lock_.unlock();
  }
  ~Making() {
    lock_.lock();
    state_.making = false;
    state_.made.notify_all();
  }
  Making(const Making&) = delete;
  Making& operator=(const Making&) = delete;

 private:
  State& state_;
  std::unique_lock<std::mutex>& lock_;
};

template <class Make>
Result<void> take(State& s, std::unique_lock<std::mutex>& lock, Make make) {
  Result<Born> born = [&] {
    const Making making(s, lock);
    return make();
  }();
  if (!born) return tl::unexpected<Error>(std::move(born.error()));
  s.server = std::move(*born);
  s.handlers.clear();
  s.hooks.clear();
  return {};
}

Result<void> require_one_thread(bool exec_only) {
  const std::string list = other_threads();
  if (list.empty()) return {};
  return fail(
      Code::kInvalid,
      std::string("the process server that ") + (exec_only ? "exec" : "fork") +
          " jobs need cannot be forked: this process has other threads already: " + list +
          kWaysOut,
      "process");
}

std::vector<Hook> hooks_of(const Handlers& handlers) {
  std::vector<Hook> hooks;
  const auto add = [&](bool preload, const std::function<void()>& hook) {
    const auto* function = hook.target<void (*)()>();
    hooks.emplace_back(preload, hook.target_type(), function ? *function : nullptr);
  };
  for (const auto& load : handlers.preloads()) add(true, load);
  for (const auto& hook : handlers.after_fork_hooks()) add(false, hook);
  return hooks;
}

// What a server that was there before must know. It may be this engine's own, of a start
// that failed later on.
Result<void> require_known(const State& s, const Handlers& handlers) {
  if (const auto hooks = hooks_of(handlers); !hooks.empty() && hooks != s.hooks) {
    return fail(Code::kInvalid,
                "the process server was started without the hooks of this engine; say "
                "them in the setup of carrel::prefork() or carrel::main_hook(), or in "
                "the first engine of this process",
                "process");
  }
  for (const auto& [kind, handler] : handlers.all()) {
    if (const auto its = s.handlers.find(kind);
        its != s.handlers.end() && its->second != handler.target_type()) {
      return fail(Code::kInvalid,
                  "the process server has another handler for the kind \"" + kind +
                      "\", that of an earlier engine of this process, and would run that "
                      "one: give the kind another name, or one handler to both",
                  "process");
    }
    if (std::find(s.server->kinds.begin(), s.server->kinds.end(), kind) !=
        s.server->kinds.end()) {
      continue;
    }
    return fail(
        Code::kInvalid,
        "the process server was started without a handler for the kind \"" + kind +
            "\"; register it in the setup of carrel::prefork() or carrel::main_hook(), "
            "or before the first engine of this process starts",
        "process");
  }
  return {};
}

// Errno, or 0: `ours` is this end of a channel whose other end was sent.
int send_channel(int control, std::string_view message, UniqueFd& ours) {
  const NoForks no_forks;
  FdPair pair = socket_pair(SOCK_SEQPACKET);
  if (!pair.first) return errno;
  ours = std::move(pair.first);
  const int theirs = pair.second.get();
  return send_message(control, message, {&theirs, 1});
}

}  // namespace

Result<void> ignite(const Handlers& fork_handlers, bool needed_by_exec_only,
                    const LogFn& log) {
  std::unique_lock lock(server_lock());
  State& s = state();
  settled(s, lock);
  if (alive(s)) return require_known(s, fork_handlers);
  if (s.hooked) {
    if (auto made = take(s, lock, [] { return execute_server(); }); !made) return made;
    return require_known(s, fork_handlers);
  }
  if (auto single = require_one_thread(needed_by_exec_only); !single) return single;
  const auto resident = resident_bytes();
  auto made =
      take(s, lock, [&] { return fork_server([&](Handlers& h) { h = fork_handlers; }); });
  if (!made) return made;
  for (const auto& [kind, handler] : fork_handlers.all()) {
    s.handlers.emplace(kind, handler.target_type());
  }
  s.hooks = hooks_of(fork_handlers);
  lock.unlock();  // a logger's lock may be one that fork() takes first
  if (resident > kLarge) {
    log(LogLevel::kWarn, "the process server is forked from a process of " +
                             std::to_string(resident >> 20) +
                             " MiB, and each of its jobs pays for copying that map; call "
                             "carrel::prefork() "
                             "earlier, or carrel::main_hook()");
  }
  return made;
}

Result<UniqueFd> connect(std::string_view message, std::stop_token stop) {
  std::unique_lock lock(server_lock());
  State& s = state();
  for (int tries = 0; tries < 2; ++tries) {
    if (!settled(s, lock, stop)) {
      return fail(Code::kUnavailable, "no channel to the process server: given up",
                  "process");
    }
    if (!alive(s)) {
      if (!s.hooked) break;
      if (auto made = take(s, lock, [&] { return execute_server(stop); }); !made) {
        return tl::unexpected<Error>(std::move(made.error()));
      }
    }
    const int control = s.server->control.get();
    const std::size_t most = std::min(kMaxMessage, longest_message(control));
    if (message.size() > most) {
      return fail(Code::kInvalid,
                  "what is to be told to the process server takes " +
                      std::to_string(message.size()) + " bytes; it can be told " +
                      std::to_string(most),
                  "process");
    }
    UniqueFd ours;
    const int error = send_channel(control, message, ours);
    if (error == 0) return ours;
    if (error != EPIPE && error != ECONNRESET) {
      return os_error(Code::kUnavailable, "no channel to the process server", error);
    }
  }
  return fail(
      Code::kUnavailable,
      "the process server is gone and cannot be forked from here again; restart this "
      "process, or call carrel::main_hook() first thing in main",
      "process");
}

void forget_server() {
  std::lock_guard lock(server_lock());
  state(true);
}

void note_hook() noexcept {
  std::lock_guard lock(server_lock());
  state().hooked = true;
}

Result<void> fork_now(const std::function<void(Handlers&)>& setup) {
  std::unique_lock lock(server_lock());
  State& s = state();
  settled(s, lock);
  if (alive(s))
    return fail(Code::kExists, "this process has a process server already", "process");
  if (auto single = require_one_thread(false); !single) return single;
  return take(s, lock, [&] { return fork_server(setup); });
}

}  // namespace carrel::process
