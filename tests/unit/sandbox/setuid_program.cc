#include "setuid_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "process_test.h"

namespace carrel::test {
namespace {

std::filesystem::path made;

}  // namespace

SetuidProgram::SetuidProgram(unsigned owner) {
  made = std::filesystem::temp_directory_path() /
         ("carrel-setuid-" + std::to_string(getpid()));
  std::filesystem::create_directory(made);
  const auto program = made / "identity";
  std::filesystem::copy_file(hostile("identity"), program);
  chmod(program.c_str(), 06755);
  chmod(made.c_str(), 0755);
  if (chown(made.c_str(), owner, owner) != 0) std::filesystem::remove(program);
}

SetuidProgram::~SetuidProgram() {
  std::error_code gone;
  std::filesystem::remove_all(made, gone);
}

const std::filesystem::path& SetuidProgram::folder() { return made; }

}  // namespace carrel::test
