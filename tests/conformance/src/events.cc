#include <carrel/conformance/events.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>

namespace carrel::conformance {
namespace {

constexpr std::array<std::string_view, 11> kEventNames = {
    "ask",   "unique",  "ack",     "start", "end",       "claim",
    "renew", "applied", "already", "stale", "beat_stale"};

bool parse(const std::string& line, Event& event) {
  std::istringstream in(line);
  std::string kind;
  if (!(in >> kind >> event.id >> event.fence >> event.attempt >> event.hash >>
        event.until >> event.time)) {
    return false;
  }
  in >> event.key;  // may be empty
  for (std::size_t i = 0; i < kEventNames.size(); ++i) {
    if (kEventNames[i] != kind) continue;
    event.kind = static_cast<Event::Kind>(i);
    return true;
  }
  return false;
}

}  // namespace

std::string_view to_string(Event::Kind kind) noexcept {
  return kEventNames.at(static_cast<std::size_t>(kind));
}

std::uint64_t hash_of(std::string_view bytes) noexcept {
  std::uint64_t hash = 14'695'981'039'346'656'037U;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211U;
  }
  return hash;
}

std::int64_t boot_time_us() noexcept {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

Result<EventLog> EventLog::open(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return fail(Code::kInvalid, file.string() + ": " + std::strerror(errno), "events",
                errno);
  }
  return EventLog(fd);
}

EventLog::EventLog(EventLog&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

EventLog& EventLog::operator=(EventLog&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

EventLog::~EventLog() {
  if (fd_ >= 0) close(fd_);
}

void EventLog::append(const Event& event) noexcept {
  char line[384];
  const int n = std::snprintf(
      line, sizeof line,
      "%s %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRId64 " %" PRId64 " %s\n",
      to_string(event.kind).data(), event.id, event.fence, event.attempt, event.hash,
      event.until, boot_time_us(), event.key.c_str());
  if (n <= 0 || n >= static_cast<int>(sizeof line) ||
      write(fd_, line, static_cast<std::size_t>(n)) != n) {
    std::fprintf(stderr, "an event could not be logged: %s\n", std::strerror(errno));
    std::abort();
  }
}

Result<std::vector<Event>> read_events(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) return fail(Code::kNotFound, file.string() + " cannot be read", "events");
  std::vector<Event> events;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    Event event;
    if (!parse(line, event)) {
      return fail(Code::kCorrupt,
                  file.string() + ":" + std::to_string(number) + ": no event: " + line,
                  "events");
    }
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace carrel::conformance
