// Measures combinations one after the other, each in a fresh process.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "comparison.h"

namespace compare {

// The words of the run and their right hashes, in a temporary folder that goes with it.
class Workspace {
 public:
  // kNotFound: no dictionary. kInvalid: crypt(3) cannot hash with the plan's setting.
  static carrel::Result<std::unique_ptr<Workspace>> make(const Plan& plan);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  // "16 words of /usr/share/dict/words a job, hashed by crypt(3) with "$1$…" (MD5)…"
  const std::string& description() const { return description_; }

 private:
  Workspace() = default;
  std::filesystem::path folder_;
  std::string description_;
};

// `number` names the folder of this combination. kCancelled: the user interrupted.
carrel::Result<Outcome> measure(const Plan& plan, const Combination& combination,
                                const Workspace& workspace, std::size_t number);

}  // namespace compare
