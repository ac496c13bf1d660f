// A small disk that a test can fill: a tmpfs that this process sees, and what it starts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "folder.h"

namespace carrel::fault {

// Threads: one at a time. Gone with it, or with the process however that ends.
class SmallDisk {
 public:
  // nullptr: not allowed here; `refused` says what.
  static std::unique_ptr<SmallDisk> make(std::uintmax_t bytes, std::string& refused);
  ~SmallDisk();

  const std::filesystem::path& path() const noexcept { return folder_.path(); }
  void fill() const;  // takes every byte that is left
  void make_room() const;

 private:
  SmallDisk() = default;

  const Folder folder_;
  bool mounted_ = false;
};

}  // namespace carrel::fault
