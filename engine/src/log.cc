#include "log.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

// In the header's form: libfmt.so and libspdlog.so would be two more images for every
// fork of the host.
#define FMT_HEADER_ONLY
#define SPDLOG_HEADER_ONLY
#define SPDLOG_FMT_EXTERNAL
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace carrel {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};

// Never destroyed: threads of the host may still log while statics go away.
struct Sink {
  std::mutex mutex;
  LogFn replaced;
  std::unique_ptr<spdlog::logger> standard;
};
Sink& sink() {
  static auto* one = new Sink;
  return *one;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

void write(LogLevel level, std::string_view text) {
  const std::string line = one_line(text);
  Sink& to = sink();
  const std::lock_guard lock(to.mutex);
  if (to.replaced) {
    to.replaced(level, line);
    return;
  }
  if (!to.standard) {
    // Made for the first line: a host that logs elsewhere pays nothing. The lock above
    // makes the sink's own needless.
    to.standard = std::make_unique<spdlog::logger>(
        "carrel", std::make_shared<spdlog::sinks::stderr_sink_st>());
    to.standard->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %l: %v");
    to.standard->set_level(spdlog::level::trace);
  }
  to.standard->log(spdlog_level(level), line);
}

}  // namespace

void set_log_sink(LogFn replaced) {
  const std::lock_guard lock(sink().mutex);
  sink().replaced = std::move(replaced);
}

void set_log_level(LogLevel level) noexcept { g_level.store(level); }

void log(LogLevel level, std::string_view text) noexcept {
  if (level == LogLevel::kOff || level < g_level.load(std::memory_order_relaxed)) return;
  try {
    write(level, text);
  } catch (...) {
    // A log line is never worth a job.
  }
}

LogFn log_function() {
  return [](LogLevel level, std::string_view text) { log(level, text); };
}

}  // namespace carrel
