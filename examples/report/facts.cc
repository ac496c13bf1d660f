#include "report/facts.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

namespace report {
namespace {

// The value behind the first line that starts with `key`.
std::string value_of(const char* file, const std::string& key, char separator) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const std::size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    std::string value = line.substr(at + 1);
    const auto strip = [](char c) { return c == ' ' || c == '\t' || c == '"'; };
    while (!value.empty() && strip(value.front())) value.erase(0, 1);
    while (!value.empty() && strip(value.back())) value.pop_back();
    return value;
  }
  return {};
}

std::string local_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts);
  return text;
}

unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

}  // namespace

Facts read_facts() {
  Facts facts;
  facts.date = local_date();
  facts.processor = value_of("/proc/cpuinfo", "model name", ':');
  facts.cores = usable_cores();
  facts.memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  ::getloadavg(&facts.load, 1);
  facts.system = value_of("/etc/os-release", "PRETTY_NAME", '=');
  utsname name{};
  if (::uname(&name) == 0) facts.kernel = std::string(name.sysname) + " " + name.release;
#if defined(__clang__)
  facts.compiler = "Clang " __clang_version__;
#elif defined(__GNUC__)
  facts.compiler = "GCC " __VERSION__;
#endif
#if defined(__OPTIMIZE__)
  facts.build = "optimised";
#else
  facts.build = "not optimised";
#endif
  return facts;
}

}  // namespace report
