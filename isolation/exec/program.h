// One kind of job that is a program: its command, and the environment of a run.
//
// Immutable once made; used by any thread.
#pragma once

#include <carrel/isolation.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carrel::process {

class Program {
 public:
  // kInvalid names the kind and what is wrong: no command, a zero byte, an environment
  // name with '='.
  static Result<Program> make(const KindSpec& kind);

  const std::string& name() const noexcept { return argv_[0]; }
  const std::string& folder() const noexcept { return cwd_; }  // empty: the host's
  Output output() const noexcept { return output_; }
  // The body of a kSpawn request for one run of it.
  std::string request(const Claimed& job) const;

 private:
  std::string find() const;
  std::string path() const;

  std::vector<std::string> argv_;
  std::vector<std::string> env_;        // what is the same for every run
  std::string search_;                  // PATH, where the command has no slash
  std::optional<SandboxProfile> root_;  // likewise: that it is looked for in
  std::string found_;                   // empty: not found when the kind was made
  std::string cwd_;
  Output output_ = Output::kAuto;
};

// For a program that is told no PATH.
inline constexpr const char* kDefaultSearch = "/usr/local/bin:/usr/bin:/bin";

// Where execvp would find `name` in `search` ("/bin:/usr/bin"); with `root`, in a sandbox
// of that profile, which has a root of its own. A file that is there but cannot be
// executed is the answer only if no other is found. Empty: none.
std::string find_program(std::string_view name, std::string_view search,
                         const SandboxProfile* root = nullptr);

}  // namespace carrel::process
