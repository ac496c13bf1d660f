// How far something is: one line that is drawn over on a terminal, plain lines elsewhere.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace carrel::cli {

// "[########------------]  40 %"
std::string bar(double fraction, std::size_t columns);

// On standard error. Threads: safe from any. One at a time: while it draws, the engine's
// log is written above it.
class StatusLine {
 public:
  // `quiet`: draws nothing, and note() prints nothing.
  explicit StatusLine(bool quiet);
  ~StatusLine();  // wipes the line
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Terminal only: what stands in the line now, cut to its width.
  void draw(std::string_view text);
  // A line that stays, above the one that is drawn.
  void note(std::string_view text);
  bool draws() const noexcept { return draws_; }

 private:
  void wipe();
  std::mutex mutex_;
  bool quiet_;
  bool draws_;
  std::string drawn_;
};

}  // namespace carrel::cli
