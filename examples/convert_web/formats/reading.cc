#include "reading.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tracks {
namespace {

constexpr std::string_view kBlanks = " \t\v\f\r";
constexpr std::size_t kReportEvery = 8;  // points

bool blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

std::string_view trimmed_end(std::string_view line) {
  while (!line.empty() && blank(line.back())) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string Trouble::sentence() const {
  std::string text = line > 0 ? "Line " + std::to_string(line) + ": " + what : what;
  if (line == 0 && !text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] -= 32;
  return text + ".";
}

void fail(std::size_t line, std::string what) { throw Trouble{line, std::move(what)}; }

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string out = "“";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte > 0x7e ? '?' : c;
  }
  return out + (text.size() > kShown ? "…”" : "”");
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < line.size();) {
    if (blank(line[at])) {
      ++at;
      continue;
    }
    const std::size_t from = at;
    while (at < line.size() && !blank(line[at])) ++at;
    out.push_back(line.substr(from, at - from));
  }
  return out;
}

bool Lines::next() {
  if (at_ >= text_.size()) return false;
  const std::size_t end = std::min(text_.find('\n', at_), text_.size());
  line_ = trimmed_end(text_.substr(at_, end - at_));
  at_ = end + 1;
  ++number_;
  return true;
}

bool Lines::next_full() {
  while (next()) {
    if (!line_.empty()) return true;
  }
  return false;
}

std::string_view Lines::peek_full() const {
  Lines ahead = *this;
  return ahead.next_full() ? ahead.line() : std::string_view();
}

double Lines::fraction() const {
  return text_.empty() ? 1
                       : static_cast<double>(std::min(at_, text_.size())) /
                             static_cast<double>(text_.size());
}

double parse_pixel(std::string_view word, std::size_t line, std::string_view what) {
  double value = 0;
  const char* end = word.data() + word.size();
  if (!word.empty() && word[0] == '+') word.remove_prefix(1);
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) {
    fail(line, std::string(what) + " should be a number, and is " + quoted(word));
  }
  if (std::abs(value) > kMaxPixel) {
    fail(line, std::string(what) + " is " + quoted(word) + ", farther than any picture");
  }
  return value;
}

int parse_frame(std::string_view word, std::size_t line) {
  const double value = parse_pixel(word, line, "the frame");
  if (value != std::floor(value)) {
    fail(line, "the frame should be a whole number, and is " + quoted(word));
  }
  return static_cast<int>(value);  // kMaxPixel is within kMaxFrame
}
static_assert(kMaxPixel <= kMaxFrame);

bool is_count(std::string_view word) {
  return !word.empty() && word.size() <= 18 &&
         std::all_of(word.begin(), word.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::size_t parse_count(std::string_view word, std::size_t line, std::string_view what,
                        std::size_t most) {
  if (!is_count(word)) {
    fail(line, std::string(what) + " should be a whole number, and is " + quoted(word));
  }
  std::size_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  if (value > most) {
    fail(line, std::string(what) + " is " + std::string(word) + "; " +
                   std::to_string(most) + " is the most that is converted");
  }
  return value;
}

void Builder::track(std::string_view name, std::size_t line, bool again) {
  if (name.empty()) fail(line, "a track without a name");
  if (name.size() > kMaxName) {
    fail(line,
         "the name of a track is longer than " + std::to_string(kMaxName) + " bytes");
  }
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    fail(line, "the name of a track has a control character in it: " + quoted(name));
  }
  const auto known = by_name_.find(name);
  if (again && known != by_name_.end()) {
    current_ = known->second;
    return;
  }
  if (shot_.tracks.size() >= kMaxTracks) {
    fail(line, "more than " + std::to_string(kMaxTracks) + " tracks");
  }
  std::string mine(name);
  for (int number = 2; by_name_.count(mine) > 0; ++number) {
    mine = std::string(name) + "_" + std::to_string(number);
  }
  current_ = shot_.tracks.size();
  by_name_.emplace(mine, current_);
  shot_.tracks.push_back({std::move(mine), {}});
}

void Builder::point(int frame, double x, double y, std::size_t line, double fraction) {
  if (++points_ > kMaxPoints) {
    fail(line, "more than " + std::to_string(kMaxPoints) + " points");
  }
  Track& track = shot_.tracks[current_];
  if (!track.points.empty() && track.points.back().frame == frame) {
    fail(line, "track " + quoted(track.name) + " has frame " + std::to_string(frame) +
                   " twice");
  }
  track.points.push_back({frame, x, y});
  if (points_ % kReportEvery == 1) report_(fraction, "reading " + track.name);
}

void Builder::finish() {
  std::size_t empty = 0;
  for (Track& track : shot_.tracks) {
    std::stable_sort(track.points.begin(), track.points.end(),
                     [](const Point& a, const Point& b) { return a.frame < b.frame; });
    const auto twice = std::adjacent_find(
        track.points.begin(), track.points.end(),
        [](const Point& a, const Point& b) { return a.frame == b.frame; });
    if (twice != track.points.end()) {
      fail(0, "track " + quoted(track.name) + " has frame " +
                  std::to_string(twice->frame) + " twice");
    }
    empty += track.points.empty() ? 1 : 0;
  }
  std::erase_if(shot_.tracks, [](const Track& track) { return track.points.empty(); });
  if (shot_.tracks.empty()) fail(0, "there is no track with a point in this file");
  if (empty > 0) {
    shot_.notes.push_back(
        std::to_string(empty) + (empty == 1 ? " track has" : " tracks have") +
        " no point and " + (empty == 1 ? "was" : "were") + " left out.");
  }
}

}  // namespace tracks
