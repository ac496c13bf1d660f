// What a student hands in, and the list of those that ship with the example.
#pragma once

#include <carrel/result.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grader {

// The arguments of a job of the kind "grade".
struct Submission {
  std::string name;      // of its file
  std::string problem;   // "sum"
  std::string language;  // of language.h
  std::string source;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Submission, name, problem, language, source)

// One of submissions/manifest.json.
struct Listed {
  Submission submission;
  std::string verdict;   // the right one, "AC"
  std::string tries;     // what a hostile one does; empty: it means well
  std::string withheld;  // why it never runs outside a sandbox; empty: it may

  bool hostile() const { return !tries.empty(); }
};

// The language follows from the end of the name. kNotFound, kInvalid: what is wrong.
carrel::Result<Submission> read_submission(const std::filesystem::path& file,
                                           const std::string& problem);
carrel::Result<std::vector<Listed>> read_manifest(const std::filesystem::path& folder);

}  // namespace grader
