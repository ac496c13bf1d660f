// What the writers share.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "track.h"

namespace tracks {

// Six digits behind the point: a millionth of a pixel is finer than any tracker.
void append(std::string& out, double value);
void append(std::string& out, int value);

// Names as a format can have them, none twice: each character that `allowed` refuses
// becomes '_'.
class Names {
 public:
  explicit Names(std::function<bool(unsigned char)> allowed)
      : allowed_(std::move(allowed)) {}
  std::string of(const std::string& name);

 private:
  std::function<bool(unsigned char)> allowed_;
  std::set<std::string> given_;
};
bool no_blank(unsigned char c);
bool no_quote(unsigned char c);  // nor what means something within quotes

// Reports once for each track, and for each few points of a long one.
class Teller {
 public:
  Teller(const Shot& shot, const Report& report);
  void track(const Track& track);
  void point();

 private:
  const Report& report_;
  const Track* track_ = nullptr;
  std::size_t done_ = 0, all_ = 0;
};

}  // namespace tracks
