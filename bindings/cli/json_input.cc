#include "json_input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "json_text.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {
namespace {

constexpr std::size_t kChunk = 65'536;

template <class Number>
bool fits(std::string_view digits) {
  Number number{};
  const char* const end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, number).ec == std::errc();
}

// The first integer of a JSON text that no 64 bits hold; empty: there is none.
std::string_view too_large_integer(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at)
        at += text[at] == '\\' ? 1 : 0;
    } else if (text[at] == '-' || is_digit(text[at])) {
      const std::size_t end =
          std::min(text.find_first_not_of("0123456789+-.eE", at), text.size());
      const std::string_view number = text.substr(at, end - at);
      at = end - 1;
      if (number.find_first_of(".eE") != std::string_view::npos) continue;
      if (!fits<std::int64_t>(number) && !fits<std::uint64_t>(number)) return number;
    }
  }
  return {};
}

tl::unexpected<Error> unreadable(int error) {
  return fail(Code::kInvalid,
              std::string("cannot read standard input: ") + std::strerror(error));
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what) {
  if (nests_too_deep(text)) {
    return fail(Code::kInvalid,
                std::string(what) + " nest deeper than " + std::to_string(kMaxJsonDepth));
  }
  const auto too_large = [&](std::string_view number) {
    return fail(Code::kInvalid, std::string(what) + " hold a number that is too large: " +
                                    cut(number, 60) + "; as a string it could be kept");
  };
  const auto no_json = [&](std::size_t byte) {
    return fail(Code::kInvalid, std::string(what) + " are not JSON, from byte " +
                                    std::to_string(byte) + " on: " + cut(text, 60));
  };
  if (has_nul(text)) return no_json(text.find('\0') + 1);
  try {
    Json json = Json::parse(text);
    if (const auto number = too_large_integer(text); !number.empty()) {
      return too_large(number);
    }
    return json;
  } catch (const Json::parse_error& e) {
    return no_json(e.byte);
  } catch (const Json::exception& e) {  // out of range
    const std::string_view why = e.what();
    const std::size_t from = std::min(why.find('\''), why.size() - 1) + 1;
    return too_large(why.substr(from, why.rfind('\'') - from));
  }
}

Result<std::string> read_input() {
  std::string text;
  std::array<char, kChunk> buffer{};
  while (true) {
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(errno);
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > kMostInput) {
      return fail(Code::kTooLarge, "standard input has more than 64 MiB");
    }
  }
}

Result<std::optional<Lines::Line>> Lines::next() {
  while (true) {
    Line line;
    while (!take(line)) {
      const auto more = read_more();
      if (!more) return tl::unexpected<Error>(more.error());
      if (!*more) return std::nullopt;
    }
    if (line.too_long || line.text.find_first_not_of(" \t\r") != std::string::npos) {
      return line;
    }
  }
}

bool Lines::take(Line& line) {
  const std::size_t end = buffer_.find('\n', searched_);
  const bool whole = end != std::string::npos;
  searched_ = whole ? end : buffer_.size();
  const bool too_long = skipping_ || searched_ - at_ > kMostInput;
  if (!whole && too_long) {
    skipping_ = true;
    at_ = buffer_.size();
  }
  if (!whole && !(ended_ && (at_ < buffer_.size() || skipping_))) return false;
  line = {++number_, too_long ? "" : buffer_.substr(at_, searched_ - at_), too_long};
  at_ = searched_ = std::min(searched_ + 1, buffer_.size());
  skipping_ = false;
  return true;
}

Result<bool> Lines::read_more() {
  if (ended_) return false;
  std::array<pollfd, 2> either{{{STDIN_FILENO, POLLIN, 0}, {stop_, POLLIN, 0}}};
  if (poll(either.data(), either.size(), -1) < 0 && errno != EINTR) {
    return unreadable(errno);
  }
  stopped_ = either[1].revents != 0;
  if (stopped_) return false;
  if (either[0].revents == 0) return true;
  searched_ -= at_;
  buffer_.erase(0, at_);
  at_ = 0;
  const std::size_t held = buffer_.size();
  buffer_.resize(held + kChunk);
  const ssize_t n = read(STDIN_FILENO, buffer_.data() + held, kChunk);
  const int error = errno;
  buffer_.resize(held + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0 && error != EINTR) return unreadable(error);
  ended_ = n == 0;
  return true;
}

}  // namespace carrel::cli
