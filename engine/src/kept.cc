#include <carrel/kept.h>

namespace carrel::rules {

void append_log(std::string& log, std::string_view lines) {
  constexpr std::size_t kMost = 16'384;
  if (lines.size() >= kMost) {
    log.clear();
    // One byte more than is kept shows whether a line begins there.
    lines.remove_prefix(lines.size() > kMost ? lines.size() - kMost - 1 : 0);
  }
  log.append(lines);
  if (log.size() <= kMost) return;
  // Whole lines go, as long as that leaves something.
  std::size_t cut = log.size() - kMost;
  const std::size_t line = log.find('\n', cut - 1);
  if (line != std::string::npos && line + 1 < log.size()) cut = line + 1;
  log.erase(0, cut);
}

std::string_view bounded_message(std::string_view message) {
  constexpr std::size_t kMost = 1024;
  if (message.size() <= kMost) return message;
  std::size_t size = kMost;
  // Not through the middle of a UTF-8 character.
  while (size > kMost - 4 && (static_cast<unsigned char>(message[size]) & 0xC0) == 0x80) {
    --size;
  }
  return message.substr(0, size);
}

}  // namespace carrel::rules
