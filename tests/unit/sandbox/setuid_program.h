// A program that belongs to root and has its set-user-id and set-group-id bits, for an
// ordinary user to run: only root can make one.
#pragma once

#include <filesystem>

namespace carrel::test {

// One for the whole program. tests/hostile/identity.c, in a folder of its own.
class SetuidProgram {
 public:
  // `owner`: of the folder, who removes it. The program is root's where this process is.
  explicit SetuidProgram(unsigned owner);
  ~SetuidProgram();
  SetuidProgram(const SetuidProgram&) = delete;
  SetuidProgram& operator=(const SetuidProgram&) = delete;

  static const std::filesystem::path& folder();  // of the one that there is
};

}  // namespace carrel::test
