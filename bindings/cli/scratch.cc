#include "scratch.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace carrel::cli {

Result<Scratch> Scratch::make() {
  std::error_code error;
  std::filesystem::path base = std::filesystem::temp_directory_path(error);
  if (error) base = "/tmp";
  std::string name = (base / "carrel-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    return fail(Code::kInvalid,
                "cannot make a folder in " + base.string() + ": " + std::strerror(errno),
                "", errno);
  }
  return Scratch(name);
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace carrel::cli
