#include "text.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

namespace carrel::cli {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

Time now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

}  // namespace

void complain(std::string_view message) {
  std::fprintf(stderr, "carrel: %s\n", printable(message).c_str());
}

std::string printable(std::string_view text, bool lines) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool kept = lines && (c == '\n' || c == '\t');
    // U+0080 to U+009F are control characters too: 0xc2 and one of 0x80 to 0x9f.
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;
    out.push_back((c < 0x20 && !kept) || c == 0x7f || c1 ? ' ' : text[i]);
  }
  return out;
}

std::size_t width(std::string_view text) {
  std::size_t n = 0;
  for (char c : text) n += is_continuation(c) ? 0 : 1;
  return n;
}

std::string cut(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  std::size_t n = 0;
  std::size_t end = 0;
  while (end < text.size() && (n < columns - 1 || is_continuation(text[end]))) {
    n += is_continuation(text[end]) ? 0 : 1;
    ++end;
    if (n == columns - 1 && (end == text.size() || !is_continuation(text[end]))) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

bool has_colour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return is_terminal(stream) && (no_colour == nullptr || *no_colour == '\0') &&
         term != nullptr && std::string_view(term) != "dumb";
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
