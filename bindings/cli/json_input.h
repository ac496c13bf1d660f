// JSON that a person or a script hands in.
#pragma once

#include <carrel/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace carrel::cli {

// No store takes more of one job.
inline constexpr std::size_t kMostInput = 64U << 20;

// `what` names the text in the error: "the arguments", "line 3". A number that no 64 bits
// hold is refused: it would become another.
Result<Json> parse_json(std::string_view text, std::string_view what);

// All of standard input; kTooLarge: it is more than kMostInput.
Result<std::string> read_input();

// Standard input, a line at a time, whatever its size.
class Lines {
 public:
  struct Line {
    std::size_t number = 0;  // from 1
    std::string text;        // without its end
    bool too_long = false;   // more than kMostInput: then there is no text
  };

  // `stop`: a descriptor; once it is readable, reading ends.
  explicit Lines(int stop) : stop_(stop) {}

  // The next that is not blank; empty: that was the last, or reading was stopped.
  Result<std::optional<Line>> next();
  std::size_t number() const noexcept { return number_; }  // of the last one read
  bool stopped() const noexcept { return stopped_; }

 private:
  bool take(Line& line);  // from what was read; false: there is no whole line
  Result<bool> read_more();

  int stop_;
  std::size_t number_ = 0;
  std::string buffer_;        // what was read and not taken
  std::size_t at_ = 0;        // of this, taken
  std::size_t searched_ = 0;  // up to here there is no end of a line
  bool skipping_ = false;     // of a line that is too long
  bool ended_ = false;
  bool stopped_ = false;
};

}  // namespace carrel::cli
