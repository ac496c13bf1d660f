#include "trial/leftovers.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace trial {
namespace {

namespace fs = std::filesystem;

struct Process {
  std::string name;
  pid_t parent = 0;
  bool zombie = false;
};

// All of this machine, by pid.
std::map<pid_t, Process> processes() {
  std::map<pid_t, Process> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "stat");
    std::string line;
    if (!std::getline(in, line)) continue;  // it has ended
    const std::size_t open = line.find('('), close = line.rfind(')');
    if (close == std::string::npos || close + 4 > line.size()) continue;
    out[static_cast<pid_t>(std::stol(name))] = {
        line.substr(open + 1, close - open - 1),
        static_cast<pid_t>(std::stol(line.substr(close + 4))), line[close + 2] == 'Z'};
  }
  return out;
}

bool below(pid_t pid, pid_t ancestor, const std::map<pid_t, Process>& all) {
  for (auto it = all.find(pid); it != all.end(); it = all.find(it->second.parent)) {
    if (it->second.parent == ancestor) return true;
    if (it->second.parent == it->first) break;
  }
  return false;
}

template <class Map>
void add_more(const Map& before, const Map& now, std::vector<std::string>& out) {
  for (const auto& [what, count] : now) {
    const auto it = before.find(what);
    const std::size_t had = it == before.end() ? 0 : it->second;
    if (count > had) out.push_back(std::to_string(count - had) + " × " + what);
  }
}

}  // namespace

Held held_now() {
  Held held;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    std::string what = fs::read_symlink(entry.path(), error).string();
    if (error) continue;
    what = what.substr(0, what.find(":["));
    if (what.rfind("/proc/", 0) == 0) continue;  // this very look
    ++held.descriptors[what];
  }
  const auto all = processes();
  for (const auto& [pid, process] : all) {
    if (!below(pid, getpid(), all)) continue;
    ++held.processes["process " + process.name + (process.zombie ? " (zombie)" : "")];
  }
  return held;
}

std::vector<std::string> more_than(const Held& before, const Held& now) {
  std::vector<std::string> out;
  add_more(before.descriptors, now.descriptors, out);
  add_more(before.processes, now.processes, out);
  return out;
}

}  // namespace trial
