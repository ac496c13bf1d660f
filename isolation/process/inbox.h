// The host's words on a forked child's socket: jobs, and stop notes that may come late.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os.h"
#include "wire.h"

namespace carrel::process {

class Inbox {
 public:
  explicit Inbox(int socket) : socket_(socket) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  struct Next {
    JobHead head;
    std::string_view body;  // until the next call
    bool stopped = false;   // a note to stop it came with it
  };
  // Blocks for the next job. False: the host has closed its end.
  bool next(Next& out);

 private:
  void drop(std::size_t bytes);
  void make_room(std::size_t bytes);
  bool fill();

  const int socket_;
  // Most jobs need no page of the stack, or of the heap, that is not in use anyway.
  std::array<char, 1024> small_;
  std::vector<char> large_;
  std::span<char> buffer_{small_};
  std::size_t size_ = 0;
  bool answered_ = false;  // a job was taken before
  std::string text_;  // of a body that came in a file
  UniqueFd file_;
  Received received_;
};

}  // namespace carrel::process
