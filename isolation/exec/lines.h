// Text from a program, cut into lines as it comes; and the last bytes of it.
#pragma once

#include <carrel/isolation.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::process {

// Pure, bounded: holds at most `longest` bytes. A longer line is cut, and the rest of it
// dropped.
class LineCutter {
 public:
  explicit LineCutter(std::size_t longest) : longest_(longest) {}
  // Calls `line` for each line that `bytes` ends, without its newline.
  template <class Line>
  void feed(std::string_view bytes, Line&& line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      keep(bytes.substr(0, end));
      if (end == std::string_view::npos) return;
      line(std::string_view(held_));
      held_.clear();
      bytes.remove_prefix(end + 1);
    }
  }
  // The last line, if it had no newline.
  template <class Line>
  void finish(Line&& line) {
    if (!held_.empty()) line(std::string_view(held_));
    held_.clear();
  }

 private:
  void keep(std::string_view part) {
    held_.append(part.substr(0, longest_ - held_.size()));
  }
  std::size_t longest_;
  std::string held_;
};

// The last `most` bytes of what it was fed.
class Tail {
 public:
  explicit Tail(std::size_t most) : most_(most) {}
  void feed(std::string_view bytes);
  std::string take();  // from the start of a line, or of a character, where it was cut

 private:
  std::size_t most_;
  bool cut_ = false;
  std::string held_;
};

// A line of descriptor 3: "progress 0.4 half of it" or "log any text".
struct Note {
  enum class Kind : unsigned char { kProgress, kLog };
  Kind kind = Kind::kLog;
  float fraction = 0;  // 0 to 1
  std::string_view text;
};
// Empty: neither of the two.
std::optional<Note> parse_note(std::string_view line) noexcept;

// What a program printed, as a job's result (carrel::Output). White space around JSON is
// left out; bytes of text that are not UTF-8 are replaced. Empty: no result.
std::string result_of_output(std::string_view output, Output as);

}  // namespace carrel::process
