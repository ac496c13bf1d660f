#include "keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>

#include "children.h"
#include "frame.h"
#include "inherited_text.h"
#include "process_server.h"
#include "rehearsal.h"
#include "server.h"
#include "wire.h"
#include "wording.h"

namespace carrel::process {
namespace {

using Clock = std::chrono::steady_clock;

// A server that dies this often within this time dies of itself, or of its jobs.
constexpr int kMaxDeaths = 10;
constexpr auto kDeathWindow = std::chrono::seconds(10);
// Before another is forked then, and before a fork that failed is tried again.
constexpr int kPauseMs = 1000;
// How long a server may take to end its children when the host has died.
constexpr int kEndMs = 5000;
static_assert(std::chrono::milliseconds(kEndMs) >
              Family::kTidyRooms + Family::kTidyGroups);

void arrange_stdio() {
  const UniqueFd null = above_stdio(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)));
  if (!null) return;
  dup2(null.get(), STDIN_FILENO);
  for (const int out : {STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(out, F_GETFD) < 0) dup2(null.get(), out);
  }
}

// `text`: what children inherit, from when the handlers are known.
std::string set_up(const ServerSetup& setup, Handlers& handlers,
                   std::optional<InheritedText>& text) {
  try {
    if (setup) setup(handlers);
    if (!handlers.all().empty()) text.emplace();
    for (const auto& load : handlers.preloads()) load();
  } catch (const std::exception& e) {
    return std::string("setup failed: ").append(what_of(e));
  } catch (...) {
    return "setup failed with something that is no std::exception";
  }
  // What a child inherits of it is one thread, and signals as they are by now.
  reset_signals();
  const std::string threads = other_threads();
  if (threads.empty()) return {};
  return "setup has left other threads, which its jobs would not have, but what those "
         "hold: " +
         threads;
}

// What a job needs at least beside what its process begins with: a stack or two, a heap.
constexpr std::uint64_t kRoom = 16ULL << 20;

// The host's own bound on address space is that of every job, and what the host has
// mapped by now every forked job has as well.
std::string short_of_address_space() {
  rlimit limit{};
  const std::uint64_t mapped = mapped_bytes();
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      mapped + kRoom <= limit.rlim_cur) {
    return {};
  }
  return "limit on address space (RLIMIT_AS, ulimit -v) of " +
         std::to_string(limit.rlim_cur >> 10) +
         " KiB is too low: each of its jobs begins "
         "with " +
         std::to_string(mapped >> 10) +
         " KiB; raise it, or start the server "
         "before the host has grown (carrel::prefork, carrel::main_hook)";
}

// As far as the host can be told of them.
void name_kinds(const Handlers& handlers, Hello& hello) {
  for (const auto& [kind, handler] : handlers.all()) hello.kinds.push_back(kind);
  const std::size_t size = encode(hello).size();
  const std::size_t most = std::min(kMaxHello, longest_message(kControl));
  if (size <= most) return;
  hello.error = "setup has too many kinds: their names take " + std::to_string(size) +
                " bytes, and it can tell its host of " + std::to_string(most) +
                " (net.core.wmem_default bounds that)";
  hello.kinds.clear();
}

// Out of memory, the kernel ends jobs before it ends their host. Every child inherits
// this, and need not open the file again; a server that goes with them is back at once.
void prefer_as_victim() {
  const UniqueFd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file) return;
  [[maybe_unused]] const ssize_t n = write(file.get(), "500", 3);
}

// What servers tell their keeper.
struct Shared {
  bool greeted;  // the host has heard that one works
  bool ready;    // this one does
};

[[noreturn]] void serve(const ServerSetup& setup, Shared* shared, pid_t keeper) {
  // Until it is ready: a host that gives it up kills the keeper.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(1);
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "carrel-server");
  prefer_as_victim();
  forget_server();
  static Handlers handlers;  // outlives every exit path
  Hello hello;
  std::optional<InheritedText> text;
  hello.error = set_up(setup, handlers, text);
  if (hello.error.empty() && !handlers.all().empty()) {
    hello.error = short_of_address_space();
  }
  hello.error = cut_text(hello.error, kMaxErrorText);
  if (hello.error.empty()) name_kinds(handlers, hello);
  shared->ready = hello.error.empty();
  if (!shared->greeted) {
    send_message(kControl, encode(hello), {});
    shared->greeted = shared->ready;
  }
  if (!shared->ready) _exit(1);
  munmap(shared, sizeof *shared);  // else each child copies it
  prctl(PR_SET_PDEATHSIG, 0);
  leave_at_exit();
  if (text) {
    rehearse();
    text->bequeath();
  }
  Server(UniqueFd(kControl), UniqueFd(kHost), handlers).run();
}

class Keeper {
 public:
  explicit Keeper(const ServerSetup& setup) : setup_(setup) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    void* shared = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !signals_) _exit(1);
    shared_ = static_cast<Shared*>(shared);
  }

  [[noreturn]] void run() {
    for (;;) {
      start();
      wait_for_end();
      // Its children died with it; theirs came here.
      kill_all_children(list_);
      if (clean_) _exit(0);
      if (!shared_->greeted) _exit(1);
      unready_ = shared_->ready ? 0 : unready_ + 1;
      if (!dies_of_itself()) continue;
      if (unready_ >= kMaxDeaths)
        _exit(1);  // its set-up fails, which it did not at first
      pause();
    }
  }

 private:
  void start() {
    shared_->ready = false;
    while ((server_ = fork()) < 0) {
      if (!shared_->greeted) _exit(1);  // the host waits for the first
      pause();
    }
    if (server_ == 0) serve(setup_, shared_, pid_);
  }

  // Meanwhile jobs wait in line.
  void pause() {
    pollfd host{kHost, POLLIN, 0};
    if (poll(&host, 1, kPauseMs) > 0) _exit(0);  // nobody needs another
  }

  void wait_for_end() {
    bool host_lives = true;
    for (;;) {
      pollfd polled[2] = {{signals_.get(), POLLIN, 0},
                          {host_lives ? kHost : -1, POLLIN, 0}};
      const int ready = poll(polled, 2, host_lives ? -1 : kEndMs);
      // Where it cannot wait, it would ask for ever.
      if (ready == 0 || (ready < 0 && errno != EINTR)) kill(server_, SIGKILL);
      if (polled[1].revents != 0) host_lives = false;  // the server sees it too
      signalfd_siginfo info;
      while (read(signals_.get(), &info, sizeof info) > 0) {
      }
      int status = 0;
      for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
        if (pid != server_) continue;
        clean_ = !host_lives || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return;
      }
    }
  }

  bool dies_of_itself() {
    const auto now = Clock::now();
    deaths_.push_back(now);
    std::erase_if(deaths_, [&](Clock::time_point t) { return now - t > kDeathWindow; });
    return deaths_.size() >= kMaxDeaths;
  }

  const ServerSetup& setup_;
  UniqueFd signals_;
  ChildList list_;
  Shared* shared_ = nullptr;
  const pid_t pid_ = getpid();
  pid_t server_ = -1;
  bool clean_ = false;
  int unready_ = 0;  // servers since the last that came to be ready
  std::vector<Clock::time_point> deaths_;
};

}  // namespace

CARREL_BARE_STACK int take_places(int control, int host, int flags) noexcept {
  // First of all room is made: the host may have had none left.
  const auto low = static_cast<unsigned>(control < host ? control : host);
  const auto high = static_cast<unsigned>(control < host ? host : control);
  if (low > STDERR_FILENO + 1) close_range(STDERR_FILENO + 1, low - 1, 0);
  if (high > low + 1) close_range(low + 1, high - 1, 0);
  close_range(high + 1, ~0U, 0);
  const int far_control = fcntl(control, F_DUPFD_CLOEXEC, kHost + 1);
  const int far_host = fcntl(host, F_DUPFD_CLOEXEC, kHost + 1);
  if (far_control < 0 || far_host < 0 || dup3(far_control, kControl, flags) < 0 ||
      dup3(far_host, kHost, flags) < 0) {
    return errno;
  }
  close_range(kHost + 1, ~0U, 0);
  return 0;
}

void refuse_to_keep(int control, std::string why) {
  send_message(control, encode(Hello{std::move(why), {}}), {});
  _exit(1);
}

void keep(UniqueFd control, UniqueFd host, const ServerSetup& setup) {
  if (const int error = take_places(control.get(), host.get(), O_CLOEXEC)) {
    refuse_to_keep(control.get(), "descriptors cannot be arranged: " + errno_text(error));
  }
  control.release();
  host.release();
  arrange_stdio();
  reset_signals();
  setsid();  // the terminal's signals are the host's business
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_NAME, "carrel-keeper");
  Keeper(setup).run();
}

std::string encode(const Hello& hello) {
  std::string out;
  Writer writer(out);
  writer.put_text(hello.error);
  writer.put(static_cast<std::uint32_t>(hello.kinds.size()));
  for (const auto& kind : hello.kinds) writer.put_text(kind);
  return out;
}

bool decode(std::string_view in, Hello& hello) {
  Reader reader(in);
  hello.error = reader.get_text();
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    hello.kinds.emplace_back(reader.get_text());
  }
  return reader.whole();
}

}  // namespace carrel::process
