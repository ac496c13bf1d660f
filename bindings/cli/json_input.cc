#include "json_input.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "json_text.h"
#include "text.h"

namespace carrel::cli {

Result<Json> parse_json(std::string_view text, std::string_view what) {
  if (nests_too_deep(text)) {
    return fail(Code::kInvalid,
                std::string(what) + " nest deeper than " + std::to_string(kMaxJsonDepth));
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    return fail(Code::kInvalid, std::string(what) + " are not JSON, from byte " +
                                    std::to_string(e.byte) + " on: " + cut(text, 60));
  }
}

Result<std::string> read_input() {
  std::string text;
  std::array<char, 65'536> buffer{};
  while (true) {
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return fail(Code::kInvalid,
                  std::string("cannot read standard input: ") + std::strerror(errno));
    }
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace carrel::cli
