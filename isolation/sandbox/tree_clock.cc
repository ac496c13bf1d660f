#include "tree_clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "children.h"

namespace carrel::sandbox {
namespace {

using process::ChildList;
using process::UniqueFd;

// Past the limit, how long a program has to heed SIGXCPU.
constexpr std::uint64_t kGraceUs = 500'000;
constexpr std::uint64_t kShortestUs = 50'000;

std::uint64_t processors() {
  static const auto online =
      static_cast<std::uint64_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  return online;
}

std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return 0;  // that process has ended
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

std::uint64_t clock_of(pid_t pid) {
  clockid_t clock{};
  return clock_getcpuclockid(pid, &clock) == 0 ? read_clock(clock) : 0;
}

// What the children of a process used for which it has waited. They are in nobody's
// clock.
std::uint64_t waited_for(pid_t pid) {
  const UniqueFd file(
      open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = file ? read(file.get(), text, sizeof text - 1) : -1;
  if (size <= 0) return 0;
  text[size] = '\0';
  const char* const name_end = std::strrchr(text, ')');  // which may have others
  unsigned long user = 0;
  unsigned long system = 0;
  if (name_end == nullptr ||
      std::sscanf(name_end + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &user,
                  &system) != 2) {
    return 0;
  }
  static const auto second = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  return (user + system) * 1'000'000 / second;
}

std::vector<pid_t> all_in_proc() {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(opendir("/proc"), closedir);
  while (const dirent* entry = processes ? readdir(processes.get()) : nullptr) {
    const auto pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid > 1) found.push_back(pid);
  }
  return found;
}

}  // namespace

std::uint64_t cpu_microseconds(const rusage& used) noexcept {
  const auto of = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(t.tv_usec);
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

TreeClock::TreeClock(std::uint64_t limit_s)
    : limit_us_(limit_s == 0 ? 0 : limit_s * 1'000'000 + kGraceUs) {}

void TreeClock::count_processors() noexcept { processors(); }

int TreeClock::next_look_ms() const noexcept {
  if (limit_us_ == 0) return -1;
  if (next_look_us_ == 0) return 0;
  const std::uint64_t now = read_clock(CLOCK_MONOTONIC);
  if (now >= next_look_us_) return 0;
  return static_cast<int>(
      std::min<std::uint64_t>((next_look_us_ - now) / 1000 + 1, 60'000));
}

bool TreeClock::used_up(pid_t program) {
  if (limit_us_ == 0) return false;
  const std::uint64_t now = read_clock(CLOCK_MONOTONIC);
  if (next_look_us_ == 0) next_look_us_ = now + limit_us_ / processors();
  if (now < next_look_us_) return false;
  const std::uint64_t sum = used(program);
  if (sum >= limit_us_) return true;
  next_look_us_ = now + std::max(kShortestUs, (limit_us_ - sum) / processors());
  return false;
}

std::uint64_t TreeClock::used(pid_t program) const {
  rusage ended{};
  getrusage(RUSAGE_CHILDREN, &ended);
  std::uint64_t sum = cpu_microseconds(ended);
  std::vector<pid_t> living = own_proc_ ? all_in_proc() : ChildList::all_below();
  // The program is there at least: somebody has seen to it that nothing can be opened.
  if (own_proc_ && living.empty() && errno == EMFILE) return limit_us_;
  if (living.empty()) living.push_back(program);  // nothing tells of the others
  for (const pid_t pid : living) sum += clock_of(pid) + waited_for(pid);
  return sum;
}

// It counts by samples, which on a busy machine are off by a fifth and more.
bool TreeClock::ended_by_limit(int signal, const rusage& used) const noexcept {
  // A program may send either to itself.
  return limit_us_ != 0 && (signal == SIGXCPU || signal == SIGKILL) &&
         cpu_microseconds(used) >= (limit_us_ - kGraceUs) / 2;
}

}  // namespace carrel::sandbox
