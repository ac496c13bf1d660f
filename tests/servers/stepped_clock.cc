#include "stepped_clock.h"

#include <semaphore.h>
#include <sys/mman.h>

#include <fstream>
#include <stdexcept>
#include <system_error>

namespace carrel::test {
namespace {

namespace fs = std::filesystem;

// Its version for programs with threads.
fs::path library() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/usr/lib", error)) {
    const fs::path file = entry.path() / "faketime" / "libfaketimeMT.so.1";
    if (fs::exists(file, error)) return file;
  }
  return {};
}

}  // namespace

std::string SteppedClock::missing() {
  return library().empty() ? "libfaketime (package faketime)" : "";
}

SteppedClock::SteppedClock(fs::path folder) : file_(std::move(folder) / "clock") {
  set(std::chrono::seconds(0));
}

void SteppedClock::set(std::chrono::seconds to) {
  const fs::path next = file_.string() + ".next";
  {
    std::ofstream out(next);
    out << (to.count() < 0 ? "" : "+") << to.count() << "\n";
    if (!out.flush()) throw std::runtime_error("cannot write " + next.string());
  }
  fs::permissions(next, fs::perms::group_read | fs::perms::others_read,
                  fs::perm_options::add);
  fs::rename(next, file_);  // nobody ever reads half of it
}

std::vector<std::string> SteppedClock::around(std::vector<std::string> command) const {
  std::vector<std::string> all = {"/usr/bin/env", "LD_PRELOAD=" + library().string(),
                                  "FAKETIME_TIMESTAMP_FILE=" + file_.string(),
                                  "FAKETIME_NO_CACHE=1",
                                  "FAKETIME_DONT_FAKE_MONOTONIC=1"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

// The names by which its library's copies would share a clock, of which each process that
// ends removes its own.
void SteppedClock::clear_up(pid_t killed) {
  const std::string pid = std::to_string(killed);
  sem_unlink(("/faketime_sem_" + pid).c_str());
  shm_unlink(("/faketime_shm_" + pid).c_str());
}

}  // namespace carrel::test
