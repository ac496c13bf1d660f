#include "problem.h"

#include <trial/scratch.h>

#include <algorithm>

namespace grader {
namespace {

namespace fs = std::filesystem;

// The next line of `text`, without its blanks at the end; takes it off.
std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  const auto last = line.find_last_not_of(" \t\r");
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::string_view without_end(std::string_view text) {
  const auto last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

carrel::Result<Problem> load_problem(const fs::path& folder, const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
    return carrel::fail(carrel::Code::kInvalid, "no problem can be called " + name);
  }
  Problem problem{name, {}};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder / name, error)) {
    if (entry.path().extension() != ".in") continue;
    fs::path right = entry.path();
    right.replace_extension(".out");
    if (!fs::exists(right, error)) {
      return carrel::fail(carrel::Code::kNotFound,
                          right.string() + ", the output of a test, is not there");
    }
    problem.tests.push_back(
        {entry.path().stem(), trial::content_of(entry.path()), trial::content_of(right)});
  }
  if (problem.tests.empty()) {
    return carrel::fail(carrel::Code::kNotFound, "there is no problem " + name);
  }
  std::sort(problem.tests.begin(), problem.tests.end(),
            [](const Test& a, const Test& b) { return a.name < b.name; });
  return problem;
}

bool same_output(std::string_view right, std::string_view printed) {
  right = without_end(right);
  printed = without_end(printed);
  while (!right.empty() && !printed.empty()) {
    if (next_line(right) != next_line(printed)) return false;
  }
  return right.empty() && printed.empty();
}

}  // namespace grader
