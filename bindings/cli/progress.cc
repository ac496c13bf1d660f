#include "progress.h"

#include <carrel/log.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "text.h"

namespace carrel::cli {

std::string bar(double fraction, std::size_t columns) {
  const double part = std::clamp(fraction, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(part * static_cast<double>(columns) + 0.5);
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3.0f %%", part * 100);
  return "[" + std::string(full, '#') + std::string(columns - full, '-') + "] " + percent;
}

StatusLine::StatusLine(bool quiet) : quiet_(quiet), draws_(!quiet && can_draw(stderr)) {
  if (!draws_) return;
  set_log_sink([this](LogLevel level, std::string_view text) {
    const char* const mark = level == LogLevel::kError  ? "error: "
                             : level == LogLevel::kWarn ? "warning: "
                                                        : "";
    note("carrel: " + std::string(mark) + std::string(text));
  });
}

StatusLine::~StatusLine() {
  if (draws_) set_log_sink({});
  wipe();
}

void StatusLine::wipe() {
  if (!drawn_.empty()) std::fputs("\r\x1b[K", stderr);
  drawn_.clear();
}

void StatusLine::draw(std::string_view text) {
  if (!draws_) return;
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  const std::size_t columns = known ? size.ws_col - 1U : 79;
  const std::string line = cut(printable(text), columns);
  const std::lock_guard lock(mutex_);
  if (line == drawn_) return;
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
  drawn_ = line;
}

void StatusLine::note(std::string_view text) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const std::string drawn = drawn_;
  wipe();
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  if (draws_ && !drawn.empty()) {
    std::fprintf(stderr, "\r%s\x1b[K", drawn.c_str());
    std::fflush(stderr);
    drawn_ = drawn;
  }
}

}  // namespace carrel::cli
