#include "stepped_clock.h"

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
  fs::rename(next, file_);  // the server never reads half of it
}

std::vector<std::string> SteppedClock::around(std::vector<std::string> command) const {
  std::vector<std::string> all = {"/usr/bin/env", "LD_PRELOAD=" + library().string(),
                                  "FAKETIME_TIMESTAMP_FILE=" + file_.string(),
                                  "FAKETIME_NO_CACHE=1",
                                  "FAKETIME_DONT_FAKE_MONOTONIC=1"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

}  // namespace carrel::test
