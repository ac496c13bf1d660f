#include "spin.h"

#include <cstdio>
#include <ctime>

#include "commands.h"

namespace carrel::cli {
namespace {

Duration cpu_time() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) +
         std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

void burn(Duration work) noexcept {
  const Duration end = cpu_time() + work;
  while (cpu_time() < end) {
  }
}

Result<Json> spin_handler(Context& job) {
  burn(Duration{job.args().at("work_us").get<Duration::rep>()});
  return Json(true);
}

int spin(const SpinArgs& args) {
  burn(args.work);
  std::puts("true");
  return kOk;
}

}  // namespace carrel::cli
