// A folder for the life of one object.
#pragma once

#include <carrel/result.h>

#include <filesystem>
#include <string>
#include <utility>

namespace carrel::cli {

class Scratch {
 public:
  static Result<Scratch> make();  // in $TMPDIR, or /tmp
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch();  // removes it and all that is in it

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  explicit Scratch(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace carrel::cli
