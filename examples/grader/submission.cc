#include "submission.h"

#include <trial/scratch.h>

#include "language.h"

namespace grader {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;

carrel::Result<Submission> read_submission(const fs::path& file,
                                           const std::string& problem) {
  const Language* language = language_of_ending(file.extension().string());
  if (language == nullptr) {
    return fail(Code::kInvalid,
                file.string() + ": a submission ends with .py, .cpp or .sh");
  }
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    return fail(Code::kNotFound, "there is no file " + file.string());
  }
  return Submission{file.filename(), problem, language->name, trial::content_of(file)};
}

carrel::Result<std::vector<Listed>> read_manifest(const fs::path& folder) {
  const fs::path file = folder / "manifest.json";
  const auto list = nlohmann::json::parse(trial::content_of(file), nullptr, false);
  if (!list.is_array()) {
    return fail(Code::kInvalid, file.string() + " is no list of submissions");
  }
  std::vector<Listed> out;
  try {
    for (const auto& one : list) {
      auto submission = read_submission(folder / one.at("file").get<std::string>(),
                                        one.at("problem").get<std::string>());
      if (!submission) return tl::unexpected<carrel::Error>(submission.error());
      out.push_back({std::move(*submission), one.at("verdict"),
                     one.value("hostile", std::string()),
                     one.value("withheld", std::string())});
    }
  } catch (const nlohmann::json::exception& e) {
    return fail(Code::kInvalid, file.string() + ": " + e.what());
  }
  return out;
}

}  // namespace grader
