// The broker is a program of its own, so that this one stays small.
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "commands.h"
#include "text.h"

namespace carrel::cli {
namespace {

namespace fs = std::filesystem;

int become_broker(const std::vector<std::string>& arguments) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const std::string program = (self.parent_path() / "carrel-broker").string();
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  const std::error_code why(errno, std::generic_category());
  complain(program + " cannot be started: " + why.message() +
           ". It comes with the ZeroMQ backend (CARREL_ZMQ)");
  return kUsage;
}

}  // namespace

int broker(const Global& global) {
  if (global.config.empty()) {
    complain("broker: name its file with --config FILE");
    return kUsage;
  }
  return become_broker({"serve", "--config", global.config});
}

int keys(const Global& global, const KeysArgs& args) {
  std::vector<std::string> arguments{"keys", args.name};
  if (!args.role.empty()) arguments.insert(arguments.end(), {"--role", args.role});
  if (global.json) arguments.emplace_back("--json");
  return become_broker(arguments);
}

}  // namespace carrel::cli
