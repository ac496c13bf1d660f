#include "trial/scratch.h"

#include <stdlib.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace trial {

namespace fs = std::filesystem;

Folder::Folder(const std::string& name) {
  std::string path = (fs::temp_directory_path() / (name + "-XXXXXX")).string();
  if (::mkdtemp(path.data()) != nullptr) path_ = path;
}

Folder::~Folder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool write_file(const fs::path& file, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary);
  out << bytes;
  return static_cast<bool>(out.flush());
}

std::string how_it_died(const ChildReport& child) {
  if (child.timed_out) return "its process did not end in time";
  if (WIFSIGNALED(child.status)) {
    return std::string("its process died: ") + strsignal(WTERMSIG(child.status));
  }
  if (WEXITSTATUS(child.status) != 0) {
    return "its process ended with exit code " +
           std::to_string(WEXITSTATUS(child.status));
  }
  return {};
}

}  // namespace trial
