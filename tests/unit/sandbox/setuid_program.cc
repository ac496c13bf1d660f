#include "setuid_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "process_test.h"

namespace carrel::test {
namespace {

std::filesystem::path program_folder;

}  // namespace

SetuidProgram::SetuidProgram(unsigned owner) {
  program_folder = std::filesystem::temp_directory_path() /
                   ("carrel-setuid-" + std::to_string(getpid()));
  std::filesystem::create_directory(program_folder);
  const auto program = program_folder / "identity";
  std::filesystem::copy_file(hostile("identity"), program);
  chmod(program.c_str(), 06755);
  chmod(program_folder.c_str(), 0755);
  if (owner == geteuid()) return;
  if (chown(program_folder.c_str(), owner, owner) != 0) std::filesystem::remove(program);
}

SetuidProgram::~SetuidProgram() {
  std::error_code gone;
  std::filesystem::remove_all(program_folder, gone);
}

const std::filesystem::path& SetuidProgram::folder() { return program_folder; }

}  // namespace carrel::test
