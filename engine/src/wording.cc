#include "wording.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "utf8.h"

namespace carrel {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view name,
                                   std::span<const std::string> candidates) {
  std::optional<std::string> best;
  std::size_t least = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (const std::size_t n = edits(name, candidate); n < least) {
      least = n;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const auto guess = nearest(name, candidates);
  return guess ? "; did you mean " + quote(*guess) + "?" : "";
}

std::string quote(std::string_view name) {
  return std::string("\"").append(name).append("\"");
}

std::optional<std::string> why_no_name(std::string_view name) {
  constexpr std::size_t kMaxName = 128;
  if (name.empty()) return "is empty";
  if (name.size() > kMaxName) return "is longer than 128 bytes";
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    return "holds a control character";
  }
  if (!is_utf8(name)) return "is not UTF-8";
  return std::nullopt;
}

std::string_view what_of(const std::exception& e) noexcept {
  const char* const what = e.what();
  return what != nullptr ? what : "an exception that says nothing";
}

std::string shortened(std::string_view name) {
  constexpr std::size_t kShown = 60;
  const auto text = Json(name.substr(0, kShown));
  return text.dump(-1, ' ', true, Json::error_handler_t::replace) +
         (name.size() > kShown ? "…, " + std::to_string(name.size()) + " bytes" : "");
}

std::string joined(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text.empty() ? "none" : text;
}

std::string why_discarded(const JobRecord& job) {
  if (job.attempt == 0) return "it did not start within its time (start_within)";
  return job.attempts.empty() ? std::string() : job.attempts.back().message;
}

}  // namespace carrel
