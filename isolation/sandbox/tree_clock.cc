#include "tree_clock.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace carrel::sandbox {
namespace {

// Past the limit, how long a program has to heed SIGXCPU.
constexpr std::uint64_t kGraceUs = 500'000;
constexpr std::uint64_t kShortestUs = 50'000;

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

}  // namespace

std::uint64_t cpu_microseconds(const rusage& used) noexcept {
  const auto of = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(t.tv_usec);
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

TreeClock::TreeClock(std::uint64_t limit_s, bool sees_all)
    : limit_us_(limit_s == 0 ? 0 : limit_s * 1'000'000 + kGraceUs),
      sees_all_(sees_all),
      processors_(
          static_cast<std::uint64_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)))) {}

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
  if (next_look_us_ == 0) next_look_us_ = now + limit_us_ / processors_;
  if (now < next_look_us_) return false;
  const std::uint64_t sum = used(program);
  if (sum >= limit_us_) return true;
  next_look_us_ = now + std::max(kShortestUs, (limit_us_ - sum) / processors_);
  return false;
}

std::uint64_t TreeClock::used(pid_t program) const {
  rusage ended{};
  getrusage(RUSAGE_CHILDREN, &ended);
  std::uint64_t sum = cpu_microseconds(ended);
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(
      sees_all_ ? opendir("/proc") : nullptr, closedir);
  if (!processes) return sum + clock_of(program);
  while (const dirent* entry = readdir(processes.get())) {
    const auto pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid > 1) sum += clock_of(pid);
  }
  return sum;
}

// It counts by samples, which are off by a fifth.
bool TreeClock::ended_by_limit(int signal, const rusage& used) const noexcept {
  if (limit_us_ == 0) return false;
  if (signal == SIGXCPU) return true;
  return signal == SIGKILL && cpu_microseconds(used) >= (limit_us_ - kGraceUs) / 5 * 4;
}

}  // namespace carrel::sandbox
