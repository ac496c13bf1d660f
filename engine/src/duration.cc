// Durations as text: one number with one unit.
#include <carrel/config.h>

#include <array>
#include <limits>

#include "wording.h"

namespace carrel {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t microseconds;
};
// Longest first, as to_text tries them.
constexpr std::array<Unit, 7> kUnits{{
    {"d", 86'400'000'000},
    {"h", 3'600'000'000},
    {"m", 60'000'000},
    {"s", 1'000'000},
    {"ms", 1'000},
    {"us", 1},
    {"\xc2\xb5s", 1},  // µs
}};
constexpr std::size_t kMaxDecimals = 6;

tl::unexpected<Error> no_duration(std::string_view text, std::string_view why) {
  std::string message = "expected a duration such as \"30s\", got \"";
  message.append(text).append("\"");
  if (!why.empty()) message.append(": ").append(why);
  return fail(Code::kInvalid, std::move(message));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  std::string_view s = text;
  const bool negative = !s.empty() && s.front() == '-';
  if (negative) s.remove_prefix(1);

  std::int64_t whole = 0;
  bool any = false;
  bool overflow = false;
  for (; !s.empty() && is_digit(s.front()); s.remove_prefix(1)) {
    any = true;
    overflow |= __builtin_mul_overflow(whole, std::int64_t{10}, &whole);
    overflow |= __builtin_add_overflow(whole, std::int64_t{s.front() - '0'}, &whole);
  }
  std::int64_t decimals = 0;
  std::int64_t scale = 1;
  if (any && s.size() > 1 && s.front() == '.' && is_digit(s[1])) {
    s.remove_prefix(1);
    for (std::size_t n = 0; !s.empty() && is_digit(s.front()); s.remove_prefix(1), ++n) {
      if (n == kMaxDecimals) return no_duration(text, "more than six decimals");
      decimals = decimals * 10 + (s.front() - '0');
      scale *= 10;
    }
  }
  if (!any) return no_duration(text, "");
  if (s.empty()) return no_duration(text, "it has no unit (us, ms, s, m, h, d)");
  for (const Unit& unit : kUnits) {
    if (s != unit.name) continue;
    if (decimals * unit.microseconds % scale != 0) {
      return no_duration(text, "finer than a microsecond");
    }
    std::int64_t total = 0;
    overflow |= __builtin_mul_overflow(whole, unit.microseconds, &total);
    overflow |=
        __builtin_add_overflow(total, decimals * unit.microseconds / scale, &total);
    if (overflow) return no_duration(text, "too long");
    return Duration{negative ? -total : total};
  }
  return no_duration(text, "the unit must be one of us, ms, s, m, h, d");
}

std::string to_text(Duration duration) {
  std::int64_t us = duration.count();
  if (us == 0) return "0s";
  // The one value that cannot be negated; its neighbour is near enough.
  if (us == std::numeric_limits<std::int64_t>::min()) ++us;
  std::string text;
  if (us < 0) {
    text = "-";
    us = -us;
  }
  for (const Unit& unit : kUnits) {
    if (us % unit.microseconds == 0 && unit.microseconds >= 1'000'000) {
      return text.append(std::to_string(us / unit.microseconds)).append(unit.name);
    }
  }
  // No whole number of seconds: decimals of the largest unit that is below it.
  for (const Unit& unit : kUnits) {
    if (unit.microseconds > 1'000'000 || us < unit.microseconds) continue;
    text += std::to_string(us / unit.microseconds);
    if (std::int64_t rest = us % unit.microseconds; rest != 0) {
      std::string decimals = std::to_string(unit.microseconds + rest).substr(1);
      decimals.erase(decimals.find_last_not_of('0') + 1);
      text.append(".").append(decimals);
    }
    return text.append(unit.name);
  }
  return text.append(std::to_string(us)).append("us");
}

}  // namespace carrel
