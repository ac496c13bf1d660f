#include "program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "blueprint.h"
#include "wire.h"

namespace carrel::process {
namespace {

tl::unexpected<Error> invalid(const KindSpec& kind, const std::string& what) {
  return fail(Code::kInvalid, "kind \"" + kind.kind + "\", isolation \"exec\": " + what,
              "exec");
}

bool has_zero(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// A queue or kind may hold any byte; a variable of the environment ends at a zero.
std::string variable(std::string_view name, std::string_view value) {
  return std::string(name).append("=").append(value.substr(0, value.find('\0')));
}

// Said of each job by itself; those of a job that this host is are another's.
bool is_ours(std::string_view name) { return name.starts_with("CARREL_JOB_"); }

}  // namespace

std::string find_program(std::string_view name, std::string_view search,
                         const SandboxProfile* root) {
  std::string denied;
  for (;;) {
    const auto end = search.find(':');
    std::string path(search.substr(0, end));
    path = path.empty() ? std::string(name) : path + "/" + std::string(name);
    const std::string here = root == nullptr ? path : sandbox::host_path(*root, path);
    struct stat info {};
    if (stat(here.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      if (access(here.c_str(), X_OK) == 0) return path;
      if (denied.empty()) denied = path;
    }
    if (end == std::string_view::npos) return denied;
    search.remove_prefix(end + 1);
  }
}

Result<Program> Program::make(const KindSpec& kind) {
  Program program;
  if (kind.command.empty() || kind.command[0].empty()) {
    return invalid(
        kind,
        "command is empty; it must be a list such as [\"/usr/bin/convert\", \"-\"]");
  }
  for (const auto& argument : kind.command) {
    if (has_zero(argument)) return invalid(kind, "command has a zero byte in it");
  }
  if (has_zero(kind.cwd)) return invalid(kind, "cwd has a zero byte in it");
  program.argv_ = kind.command;
  program.cwd_ = kind.cwd;
  program.output_ = kind.output;
  std::string search = kDefaultSearch;
  const bool sandboxed = kind.sandbox.has_value();
  const bool rooted = sandboxed && kind.sandbox->tier != SandboxTier::kRestricted;
  for (auto at = kind.pass_env.begin(); at != kind.pass_env.end(); ++at) {
    const std::string& name = *at;
    if (std::find(kind.pass_env.begin(), at, name) != at || is_ours(name)) continue;
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || kind.env.contains(name)) continue;
    // Folders of the host; a sandbox has its own.
    if (sandboxed && (name == "HOME" || name == "TMPDIR")) continue;
    program.env_.push_back(variable(name, value));
    if (name == "PATH") search = value;
  }
  for (const auto& [name, value] : kind.env) {
    if (name.empty() || name.find('=') != std::string::npos || has_zero(name) ||
        has_zero(value)) {
      return invalid(kind, "env has a name or value that cannot be: \"" + name + "\"");
    }
    if (is_ours(name)) continue;
    program.env_.push_back(variable(name, value));
    if (name == "PATH") search = value;
  }
  program.env_.push_back(variable("CARREL_JOB_KIND", kind.kind));
  program.env_.push_back("CARREL_JOB_PROGRESS_FD=3");
  if (rooted) {
    for (const auto& [name, value] : {std::pair{"HOME", sandbox::kWorkFolder},
                                      std::pair{"TMPDIR", sandbox::kTemporary}}) {
      if (!kind.env.contains(name)) program.env_.push_back(variable(name, value));
    }
  }
  if (kind.command[0].find('/') == std::string::npos) {
    program.search_ = search;
    if (sandboxed) program.root_ = kind.sandbox;
    program.found_ = program.find();
  } else {
    program.found_ = kind.command[0];
  }
  return program;
}

std::string Program::find() const {
  return find_program(argv_[0], search_, root_ ? &*root_ : nullptr);
}

std::string Program::path() const {
  if (!found_.empty()) return found_;
  std::string path = find();  // it may have come since
  return path.empty() ? argv_[0] : path;
}

std::string Program::request(const Claimed& job) const {
  std::vector<std::string> env = env_;
  env.push_back("CARREL_JOB_ID=" + std::to_string(value(job.lease.id)));
  env.push_back("CARREL_JOB_FENCE=" + std::to_string(value(job.lease.fence)));
  env.push_back("CARREL_JOB_ATTEMPT=" + std::to_string(job.attempt));
  env.push_back("CARREL_JOB_MAX_ATTEMPTS=" + std::to_string(job.max_attempts));
  env.push_back(variable("CARREL_JOB_QUEUE", job.queue));
  std::string body;
  Writer writer(body);
  encode(writer, path(), cwd_, argv_, env);
  return body;
}

}  // namespace carrel::process
