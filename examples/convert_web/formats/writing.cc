#include "writing.h"

#include <charconv>

namespace tracks {

void append(std::string& out, double value) {
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 6).ptr;
  const std::string_view shown(text, static_cast<std::size_t>(end - text));
  out += shown == "-0.000000" ? shown.substr(1) : shown;
}

void append(std::string& out, int value) { out += std::to_string(value); }

bool no_blank(unsigned char c) { return c > 0x20 && c != 0x7f; }

bool no_quote(unsigned char c) {
  return c >= 0x20 && c != 0x7f &&
         std::string_view("\"\\[]{}$").find(static_cast<char>(c)) ==
             std::string_view::npos;
}

std::string Names::of(const std::string& name) {
  std::string clean = name;
  for (char& c : clean) {
    if (!allowed_(static_cast<unsigned char>(c))) c = '_';
  }
  std::string mine = clean;
  for (int number = 2; !given_.insert(mine).second; ++number) {
    mine = clean + "_" + std::to_string(number);
  }
  return mine;
}

Teller::Teller(const Shot& shot, const Report& report) : report_(report) {
  for (const Track& track : shot.tracks) all_ += track.points.size();
}

void Teller::track(const Track& track) {
  track_ = &track;
  report_(static_cast<double>(done_) / static_cast<double>(all_),
          "writing " + track.name);
}

void Teller::point() {
  if (++done_ % 8 == 0) {
    report_(static_cast<double>(done_) / static_cast<double>(all_),
            "writing " + track_->name);
  }
}

}  // namespace tracks
