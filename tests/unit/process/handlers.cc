#include "handlers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace carrel::test {
namespace {

int listener = -1;
pid_t preloaded_by = -1;
pid_t hooked_by = -1;
std::atomic<std::int64_t>* births = nullptr;  // forks of the server, and of its jobs
int port = 0;
int early_lock = -1;
std::atomic<int>* exits = nullptr;  // shared with all children

// The one descriptor beside stdio that a job's process has.
int job_socket() {
  for (int fd = 3; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) return fd;
  }
  std::abort();
}

void send_raw(const std::string& bytes) {
  if (write(job_socket(), bytes.data(), bytes.size()) < 0) std::abort();
}

std::string header(std::uint32_t magic, std::uint32_t type, std::uint64_t length) {
  std::string out(16, '\0');
  std::memcpy(out.data(), &magic, 4);
  std::memcpy(out.data() + 4, &type, 4);
  std::memcpy(out.data() + 8, &length, 8);
  return out;
}
constexpr std::uint32_t kMagic = 0x4c455243;

[[noreturn]] void sleep_for_ever() {
  for (;;) pause();
}

// A process in a session of its own whose parent is gone.
pid_t make_daemon() {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  if (fork() == 0) {
    setsid();
    const pid_t pid = fork();
    if (pid == 0) sleep_for_ever();
    if (write(ends[1], &pid, sizeof pid) != sizeof pid) std::abort();
    _exit(0);
  }
  pid_t pid = 0;
  if (read(ends[0], &pid, sizeof pid) != sizeof pid) std::abort();
  return pid;
}

void add_plain(Handlers& h) {
  h.handle("hooks", [](Context&) {
    return Json{preloaded_by == getppid(), hooked_by == getpid()};
  });
  h.handle("births", [](Context&) { return births->load(); });
  h.handle("policy", [](Context&) { return sched_getscheduler(0); });
  h.handle("pid", [](Context&) { return static_cast<std::int64_t>(getpid()); });
  h.handle("other_pid", [](Context&) { return static_cast<std::int64_t>(getpid()); });
  h.handle("print", [](Context&) { std::printf("from a job;"); });
  h.handle("echo", [](Context& job) { return job.args(); });
  h.handle("parent", [](Context&) { return static_cast<std::int64_t>(getppid()); });
  h.handle("who", [](Context& job) {
    const Claimed& c = job.job();
    return Json{{"id", value(c.lease.id)},
                {"fence", value(c.lease.fence)},
                {"queue", c.queue},
                {"kind", c.kind},
                {"attempt", c.attempt},
                {"checkpoint", c.checkpoint},
                {"pid", getpid()},
                {"session", getsid(0)},
                {"timed", job.remaining() != Duration::max()}};
  });
  h.handle("nothing", [](Context&) {});
  h.handle("big",
           [](Context& job) { return std::string(job.args().get<std::size_t>(), 'x'); });
  h.handle("report", [](Context& job) {
    job.progress(0.25F, "a quarter");
    job.log("a line");
    job.checkpoint("here");
    job.progress(1, "all");
  });
  h.handle("chatter", [](Context& job) {
    for (int i = 0; i <= 100'000; ++i)
      job.progress(static_cast<float>(i) / 100'000, "step");
  });
  h.handle("burst", [](Context& job) {
    for (int i = 0; i <= 100; ++i) job.progress(0.5F, std::to_string(i));
    while (!job.stopping()) std::this_thread::yield();
  });
  h.handle("throw", [](Context&) { throw std::runtime_error("no good"); });
  h.handle("throw_int", [](Context&) { throw 7; });
  h.handle("error", [](Context&) -> Result<Json> {
    return tl::unexpected<Error>(
        Error{Code::kNotFound, "no such user", "ldap", 32, std::chrono::seconds(9)});
  });
  h.handle("snooze", [](Context& job) -> Result<Json> {
    return job.snooze(std::chrono::minutes(5));
  });
  h.handle("discard", [](Context& job) -> Result<Json> { return job.discard("no use"); });
  h.handle("lock", [](Context&) { std::lock_guard lock(shared_mutex()); });
  h.handle("leak", [](Context& job) {
    const auto size = job.args().get<std::size_t>();
    auto* bytes = static_cast<volatile char*>(std::malloc(size));
    const auto begin = (reinterpret_cast<std::uintptr_t>(bytes) + 4095) & ~4095UL;
    madvise(reinterpret_cast<void*>(begin), size - 4096, MADV_HUGEPAGE);  // faster
    for (std::size_t i = 0; i < size; i += 4096) bytes[i] = 1;
  });
}

void add_bad(Handlers& h) {
  h.handle("abort", [](Context&) { std::abort(); });
  h.handle("segv", [](Context&) { raise(SIGSEGV); });
  h.handle("leave", [](Context& job) { _exit(job.args().get<int>()); });
  h.handle("exit", [](Context& job) { std::exit(job.args().get<int>()); });
  h.handle("garbage", [](Context&) {
    send_raw("this is no frame at all");
    sleep_for_ever();
  });
  h.handle("cut_frame", [](Context&) {
    send_raw(header(kMagic, 1, 100) + "only this");
    _exit(0);
  });
  h.handle("cut_header", [](Context&) {
    send_raw(header(kMagic, 1, 100).substr(0, 7));
    _exit(0);
  });
  h.handle("huge_log", [](Context&) {
    send_raw(header(kMagic, 4, ~0ULL));
    sleep_for_ever();
  });
  h.handle("huge_result", [](Context&) {
    send_raw(header(kMagic, 1, 1ULL << 40));
    sleep_for_ever();
  });
  h.handle("two_results", [](Context&) {
    send_raw(header(kMagic, 1, 1) + "1" + header(kMagic, 1, 1) + "2");
    sleep_for_ever();
  });
  h.handle("done_and_stays", [](Context&) {
    const std::string pid = std::to_string(getpid());
    send_raw(header(kMagic, 1, pid.size()) + pid + header(kMagic, 6, 16) +
             std::string(16, '\0'));
    sleep_for_ever();
  });
  h.handle("bad_progress", [](Context&) {
    send_raw(header(kMagic, 3, 2) + "xx");
    sleep_for_ever();
  });
}

void add_stubborn(Handlers& h) {
  h.handle("wait_stop", [](Context& job) {
    job.log("ready");
    while (!job.stopping()) std::this_thread::yield();
    return Json("stopped");
  });
  h.handle("take_token", [](Context& job) -> Result<Json> {
    if (job.stop().stop_requested()) return job.error("told to stop");
    return job.args();
  });
  for (const char* kind : {"until_stopped", "used_until_stopped"}) {
    h.handle(kind, [](Context& job) {
      job.log(std::to_string(getpid()));
      while (!job.stopping()) std::this_thread::yield();
    });
  }
  h.handle("wait_token", [](Context& job) -> Result<Json> {
    std::mutex m;
    std::condition_variable_any told;
    std::unique_lock lock(m);
    const auto token = job.stop();
    job.log("ready");
    told.wait(lock, token, [] { return false; });
    return job.error("told to stop");
  });
  h.handle("survive_term", [](Context& job) {
    static std::atomic<bool> termed{false};
    std::signal(SIGTERM, [](int) { termed = true; });
    job.log("ready");
    while (!termed) std::this_thread::yield();
    return static_cast<std::int64_t>(getpid());
  });
  h.handle("sleep", [](Context& job) {
    job.log("ready");
    sleep_for_ever();
  });
  h.handle("sleep_with_child", [](Context& job) {
    if (fork() == 0) sleep_for_ever();
    job.log("ready");
    sleep_for_ever();
  });
  h.handle("ignore_term", [](Context& job) {
    static int socket = job_socket();
    struct sigaction action {};
    static const std::string frame = header(kMagic, 4, 4) + "TERM";
    action.sa_handler = [](int) {
      if (write(socket, frame.data(), frame.size()) < 0) _exit(9);
    };
    sigaction(SIGTERM, &action, nullptr);
    job.log("ready");
    sleep_for_ever();
  });
  h.handle("stop_self", [](Context& job) {
    job.log(std::to_string(getpid()));
    raise(SIGSTOP);
  });
  h.handle("leader_gone", [](Context& job) {
    std::thread([] {
      std::atomic<unsigned> turns{0};
      for (;;) ++turns;
    }).detach();
    job.log(std::to_string(getpid()));
    syscall(SYS_exit, 0);
  });
  h.handle("grandchild", [](Context&) {
    const pid_t pid = fork();
    if (pid == 0) sleep_for_ever();
    return static_cast<std::int64_t>(pid);
  });
  h.handle("had_child", [](Context& job) {
    const std::string how = job.args();
    if (how == "ignored") std::signal(SIGCHLD, SIG_IGN);
    const pid_t pid = fork();
    if (pid == 0 && how == "left") sleep_for_ever();
    if (pid == 0) _exit(0);
    if (how != "left") waitpid(pid, nullptr, 0);
    constexpr std::size_t kSlow = 100
                                  << 20;  // to take back, so that its end takes a while
    std::memset(new char[kSlow], 1, kSlow);
    return static_cast<std::int64_t>(getpid());
  });
  h.handle("daemon", [](Context&) { return static_cast<std::int64_t>(make_daemon()); });
  h.handle("daemon_then_sleep", [](Context& job) {
    job.log(std::to_string(make_daemon()));
    sleep_for_ever();
  });
}

}  // namespace

void add_hooks(Handlers& handlers) {
  handlers.preload([] {
    preloaded_by = getpid();
    void* const shared = mmap(nullptr, sizeof *births, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::runtime_error("no shared memory");
    births = new (shared) std::atomic<std::int64_t>(0);
    pthread_atfork([] { ++*births; }, nullptr, nullptr);
  });
  handlers.after_fork_child([] { hooked_by = getpid(); });
}

void add_handlers(Handlers& handlers) {
  add_plain(handlers);
  add_bad(handlers);
  add_stubborn(handlers);
}

void open_early_listener() {
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("listener");
    std::exit(1);
  }
  port = ntohs(address.sin_port);
}
int early_listener_port() { return port; }
void close_early_listener() {
  if (listener >= 0) close(listener);
  listener = -1;
}

void take_early_lock() {
  early_lock = memfd_create("early-lock", MFD_CLOEXEC);
  if (early_lock < 0 || flock(early_lock, LOCK_EX) != 0) {
    std::perror("lock");
    std::exit(1);
  }
}

bool retake_early_lock() {
  const std::string path = "/proc/self/fd/" + std::to_string(early_lock);
  const int again = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (again < 0 || flock(again, LOCK_EX | LOCK_NB) == 0) return false;  // nobody held it
  close(std::exchange(early_lock, again));
  return flock(early_lock, LOCK_EX | LOCK_NB) == 0;
}

void count_exits() {
  void* const shared = mmap(nullptr, sizeof *exits, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) std::exit(1);
  exits = new (shared) std::atomic<int>(0);
  std::atexit([] { ++*exits; });
  std::at_quick_exit([] { ++*exits; });
}
std::atomic<int>& counted_exits() { return *exits; }

std::mutex& shared_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace carrel::test
