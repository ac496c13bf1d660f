// What the readers share: lines with their numbers, numbers with their bounds, and the
// shot that they fill.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "track.h"

namespace tracks {

[[noreturn]] void fail(std::size_t line, std::string what);

// For a message: in quotes, cut, and without what no terminal or page should see.
std::string quoted(std::string_view text);

std::vector<std::string_view> words(std::string_view line);

// The lines of a text, without their ends (\n, \r\n) and blanks at the end. Borrows.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  bool next();       // false: there are no more
  bool next_full();  // the same, over empty lines
  // The line that next_full() would come to, without going there; empty: none.
  std::string_view peek_full() const;
  std::string_view line() const { return line_; }
  std::size_t number() const { return number_; }  // from 1; at the end, the last one's
  double fraction() const;

 private:
  std::string_view text_, line_;
  std::size_t at_ = 0, number_ = 0;
};

// `what` names it in the message: "x", "the number of frames".
double parse_pixel(std::string_view word, std::size_t line, std::string_view what);
int parse_frame(std::string_view word, std::size_t line);  // also "12.00"
std::size_t parse_count(std::string_view word, std::size_t line, std::string_view what,
                        std::size_t most);
bool is_count(std::string_view word);

// Fills a Shot within its bounds, and reports as it goes.
class Builder {
 public:
  Builder(Shot& shot, const Report& report) : shot_(shot), report_(report) {}

  // Later points are of this track; a name that was there before gets a number if `again`
  // is false, else its track goes on.
  void track(std::string_view name, std::size_t line, bool again = false);
  void point(int frame, double x, double y, std::size_t line, double fraction);
  bool has_track() const { return current_ < shot_.tracks.size(); }
  const std::string& name() const { return shot_.tracks[current_].name; }

  // Sorts, refuses a frame that a track has twice, leaves out tracks without points.
  // Throws where nothing is left.
  void finish();

 private:
  Shot& shot_;
  const Report& report_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::size_t current_ = static_cast<std::size_t>(-1);
  std::size_t points_ = 0;
};

}  // namespace tracks
