#include "program_check.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "program.h"
#include "wording.h"

namespace carrel::cli {
namespace {

namespace fs = std::filesystem;

// Of the program itself: see KindConfig::env and pass_env.
std::string search_path(const KindConfig& kind) {
  if (const auto own = kind.env.find("PATH"); own != kind.env.end()) return own->second;
  const auto& passed = kind.pass_env;
  const char* const host = std::getenv("PATH");
  const bool passes = std::find(passed.begin(), passed.end(), "PATH") != passed.end();
  return passes && host != nullptr ? host : process::kDefaultSearch;
}

ProgramCheck check(const std::string& name, const Config& all) {
  const KindConfig& kind = all.kind(name);
  const auto no = [&](std::string why) {
    return ProgramCheck{name, std::move(why), false};
  };
  std::error_code unknown;
  const fs::path folder =
      kind.cwd.empty() ? fs::current_path(unknown) : all.directory / kind.cwd;
  if (!fs::is_directory(folder, unknown)) {
    return no("cwd: there is no folder " + folder.string());
  }
  const std::string& program = kind.command.front();
  fs::path found = folder / program;
  if (program.find('/') == std::string::npos) {
    const std::string search = search_path(kind);
    found = process::find_program(program, search);
    if (found.empty()) {
      return no("command: there is no program " + quote(program) + " in " + search);
    }
  }
  if (!fs::exists(found, unknown)) {
    return no("command: there is no program " + found.string());
  }
  if (fs::is_directory(found, unknown) || access(found.c_str(), X_OK) != 0) {
    return no("command: " + found.string() + " may not be executed");
  }
  return {name, found.string()};
}

}  // namespace

std::vector<ProgramCheck> check_programs(const Config& config) {
  std::vector<ProgramCheck> checks;
  for (const auto& [name, kind] : config.jobs) {
    if (kind.command.empty()) continue;
    const bool sandboxed = !kind.sandbox.empty() && config.sandbox(kind.sandbox) &&
                           config.sandbox(kind.sandbox)->tier != SandboxTier::kNone;
    if (!sandboxed) checks.push_back(check(name, config));
  }
  return checks;
}

}  // namespace carrel::cli
