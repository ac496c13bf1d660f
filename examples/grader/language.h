// The languages that may be handed in: each is two commands of a shell.
#pragma once

#include <string>
#include <string_view>

namespace grader {

struct Language {
  const char* name;     // "python"
  const char* ending;   // ".py"
  const char* file;     // what the source is called where it is compiled and run
  const char* compile;  // fails where it is no program
  const char* run;
  const char* product;  // the file that compiling makes; "": none
};

const Language* language_of_ending(std::string_view ending);  // nullptr: none
const Language* language_named(std::string_view name);

}  // namespace grader
