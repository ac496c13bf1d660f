// An exercise: what a submission is given, and what it must print.
#pragma once

#include <carrel/result.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace grader {

struct Test {
  std::string name;  // "1"
  std::string input;
  std::string output;  // the right one; it never goes to where a submission runs
};

struct Problem {
  std::string name;
  std::vector<Test> tests;  // in the order of their names
};

// The tests are the files N.in and N.out of FOLDER/NAME. kNotFound names what is not
// there; kInvalid: NAME leads elsewhere.
carrel::Result<Problem> load_problem(const std::filesystem::path& folder,
                                     const std::string& name);

// Whether it prints the same: blanks at the end of a line and empty lines at the end of
// all do not count.
bool same_output(std::string_view right, std::string_view printed);

}  // namespace grader
