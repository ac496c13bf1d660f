#include "language.h"

namespace grader {
namespace {

constexpr Language kLanguages[] = {
    {"python", ".py", "main.py", "python3 -m py_compile main.py", "python3 main.py", ""},
    {"c++", ".cpp", "main.cpp", "g++ -std=c++17 -O1 -o prog main.cpp", "./prog", "prog"},
    {"shell", ".sh", "main.sh", "sh -n main.sh", "sh main.sh", ""},
};

}  // namespace

const Language* language_of_ending(std::string_view ending) {
  for (const Language& language : kLanguages) {
    if (language.ending == ending) return &language;
  }
  return nullptr;
}

const Language* language_named(std::string_view name) {
  for (const Language& language : kLanguages) {
    if (language.name == name) return &language;
  }
  return nullptr;
}

}  // namespace grader
