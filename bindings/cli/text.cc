#include "text.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iterator>

#include "utf8.h"

namespace carrel::cli {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

template <std::size_t N>
bool is_in(const Range (&ranges)[N], char32_t c) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const Range& r) { return c >= r.first && c <= r.last; });
}

constexpr Range kControls[] = {
    {0x00, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x2029}, {0x202a, 0x202e}, {0x2066, 0x2069}};

// Those in common use, not all of Unicode's.
constexpr Range kCombining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a},
    {0x064b, 0x065f}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x2060, 0x2064},
    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}};
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},
                           {0x4e00, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
                           {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                           {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
                           {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};

std::size_t columns_of(char32_t c) {
  if (c < kCombining[0].first) return 1;
  return is_in(kCombining, c) ? 0 : is_in(kWide, c) ? 2 : 1;
}

Time now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

}  // namespace

void complain(std::string_view message) {
  std::fprintf(stderr, "carrel: %s\n", printable(message).c_str());
}

std::string printable(std::string_view text, bool lines) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const bool kept = lines && (c.code == '\n' || c.code == '\t');
    if (!c.valid) {
      out += "\xef\xbf\xbd";
    } else if (!kept && is_in(kControls, c.code)) {
      out += ' ';
    } else {
      out += text.substr(at, c.bytes);
    }
    at += c.bytes;
  }
  return out;
}

std::string escaped_controls(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    const Utf8Char c = utf8_at(json, at);
    if (c.valid && is_in(kControls, c.code)) {
      char escape[12];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c.code));
      out += escape;
    } else {
      out += json.substr(at, c.bytes);
    }
    at += c.bytes;
  }
  return out;
}

std::size_t width(std::string_view text) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    n += columns_of(c.code);
    at += c.bytes;
  }
  return n;
}

std::string cut(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  std::size_t n = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    const Utf8Char c = utf8_at(text, end);
    n += columns_of(c.code);
    if (n + 1 > columns) break;
    end += c.bytes;
  }
  return std::string(text.substr(0, end)) + "…";
}

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

bool can_draw(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return is_terminal(stream) && term != nullptr && *term != '\0' &&
         std::string_view(term) != "dumb";
}

bool has_colour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  return can_draw(stream) && (no_colour == nullptr || *no_colour == '\0');
}

std::string coloured(std::string_view text, Colour colour, std::FILE* stream) {
  const char* code = nullptr;
  switch (colour) {
    case Colour::kNone:
      break;
    case Colour::kGood:
      code = "32";
      break;
    case Colour::kBad:
      code = "31";
      break;
    case Colour::kBusy:
      code = "36";
      break;
    case Colour::kFaint:
      code = "2";
      break;
    case Colour::kBold:
      code = "1";
      break;
  }
  if (code == nullptr || !has_colour(stream)) return std::string(text);
  return std::string("\x1b[").append(code).append("m").append(text).append("\x1b[0m");
}

Colour colour_of(State state) {
  switch (state) {
    case State::kCompleted:
      return Colour::kGood;
    case State::kDiscarded:
    case State::kRetryable:
      return Colour::kBad;
    case State::kRunning:
      return Colour::kBusy;
    case State::kCancelled:
      return Colour::kFaint;
    default:
      return Colour::kNone;
  }
}

std::string rough(Duration duration) {
  const std::int64_t us = duration.count() < 0 ? -duration.count() : duration.count();
  if (us < 1'000) return std::to_string(us) + "us";
  if (us < 10'000) {
    return std::to_string(us / 1'000) + "." + std::to_string(us % 1'000 / 100) + "ms";
  }
  if (us < 1'000'000) return std::to_string(us / 1'000) + "ms";
  const std::int64_t s = us / 1'000'000;
  if (s < 10) {
    return std::to_string(s) + "." + std::to_string(us % 1'000'000 / 100'000) + "s";
  }
  if (s < 120) return std::to_string(s) + "s";
  if (s < 2 * 3'600) return std::to_string(s / 60) + "m";
  if (s < 2 * 86'400) return std::to_string(s / 3'600) + "h";
  return std::to_string(s / 86'400) + "d";
}

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string counted(std::uint64_t n, std::string_view what) {
  return grouped(n).append(" ").append(what).append(n == 1 ? "" : "s");
}

std::string when(Time t) {
  const auto seconds = static_cast<std::time_t>(t.time_since_epoch().count() / 1'000'000);
  std::tm tm{};
  localtime_r(&seconds, &tm);
  char date[64];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm);
  const Duration away = t - now();
  return std::string(date) +
         (away.count() > 0 ? " (in " + rough(away) + ")" : " (" + rough(away) + " ago)");
}

std::string waits_for(const JobRecord& job) {
  std::string text;
  if (job.state != State::kPending) return text;
  if (job.rate) text = "the rate of " + job.rate->key;
  if (job.limit)
    text += (text.empty() ? "the limit of " : " or the limit of ") + job.limit->key;
  return text;
}

}  // namespace carrel::cli
