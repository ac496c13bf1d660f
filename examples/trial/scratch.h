// A folder for one trial, what is in files, and how a trial's process ended.
#pragma once

#include <filesystem>
#include <string>

#include "trial/child.h"

namespace trial {

// A temporary folder that goes with it; path() is empty where none could be made.
class Folder {
 public:
  // `name`: what its name begins with.
  explicit Folder(const std::string& name);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// All bytes; empty where it cannot be read.
std::string content_of(const std::filesystem::path& file);
// False: it could not be written in whole.
bool write_file(const std::filesystem::path& file, const std::string& bytes);

// A sentence part; empty: it ended by itself, with exit code 0.
std::string how_it_died(const ChildReport& child);

}  // namespace trial
