// Runs the figures that were asked for, and prints one line each. Exit code: 0 all
// passed, 1 one missed its target, 2 one could not be taken.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>

#include "figure.h"

namespace {

namespace fs = std::filesystem;
using bench::Better;
using bench::Figure;
using bench::Measured;

// A folder for databases, gone when the program ends.
class Scratch {
 public:
  explicit Scratch(const fs::path& parent) {
    std::string name = (parent / "scratch-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw fs::filesystem_error("cannot make a folder", parent,
                                 std::error_code(errno, std::generic_category()));
    }
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

std::size_t free_mb() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  std::size_t kb = 0;
  for (std::string unit; info >> key >> kb; std::getline(info, unit)) {
    if (key == "MemAvailable:") return kb / 1024;
  }
  return 0;
}

bool is_installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((fs::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// Why a figure cannot be taken here; empty: it can.
std::string obstacle(const Figure& figure) {
  if (figure.memory_mb > free_mb()) {
    return "needs " + std::to_string(figure.memory_mb) +
           " MB of free memory, there are " + std::to_string(free_mb());
  }
  if (!figure.program.empty() && !is_installed(figure.program)) {
    return figure.program + " is not installed";
  }
  return {};
}

void print_text(const Figure& figure, const Measured& m) {
  std::printf("%-27s %10.5g  limit %10.5g  ratio %6.3f  target %s %-4g %s  %s\n",
              figure.name.c_str(), m.value, m.limit, m.ratio,
              figure.better == Better::kHigher ? ">=" : "<=", figure.target,
              m.pass ? "pass" : "MISS", figure.unit.c_str());
}

void print_json(const Figure& figure, const Measured& m) {
  nlohmann::ordered_json line;
  line["name"] = figure.name;
  line["value"] = m.value;
  line["unit"] = figure.unit;
  line["limit"] = m.limit;
  line["ratio"] = m.ratio;
  line["target"] = figure.target;
  line["better"] = figure.better == Better::kHigher ? "higher" : "lower";
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures carrel against the bare mechanisms that it stands on.",
               "figures");
  std::string filter;
  std::string disk;
  bool json = false;
  bool verbose = false;
  bool strict = false;
  bool list = false;
  bool large = false;
  app.add_option("--filter", filter, "Only the figures whose names match this regex");
  app.add_option("--scratch", disk,
                 "Where the databases go; by default beside the program");
  app.add_flag("--json", json, "One JSON object a line");
  app.add_flag("--strict", strict, "Exit with 1 if a target is missed");
  app.add_flag("--verbose", verbose, "Print every pair to stderr");
  app.add_flag("--large", large, "Fill the stores of claim_full and claim_held whole");
  app.add_flag("--list", list, "Print the names, measure nothing");
  CLI11_PARSE(app, argc, argv);

  try {
    const std::regex wanted(filter);
    const fs::path bin = fs::read_symlink("/proc/self/exe").parent_path();
    const Scratch scratch(disk.empty() ? bin : fs::path(disk));
    int code = 0;
    for (const Figure& figure : bench::all_figures(bin.string(), scratch.path(), large)) {
      if (!std::regex_search(figure.name, wanted)) continue;
      if (list) {
        std::printf("%s\n", figure.name.c_str());
        continue;
      }
      if (const std::string why = obstacle(figure); !why.empty()) {
        std::fprintf(stderr, "%s: not taken: %s\n", figure.name.c_str(), why.c_str());
        continue;
      }
      const auto measured = bench::measure(figure, verbose);
      if (!measured) {
        std::fprintf(stderr, "%s: not taken: see above\n", figure.name.c_str());
        code = 2;
        continue;
      }
      if (json) {
        print_json(figure, *measured);
      } else {
        print_text(figure, *measured);
      }
      std::fflush(stdout);
      if (strict && !measured->pass && code == 0) code = 1;
    }
    return code;
  } catch (const std::regex_error& e) {
    std::fprintf(stderr, "--filter %s: %s\n", filter.c_str(), e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
