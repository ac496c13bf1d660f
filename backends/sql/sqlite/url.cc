#include "url.h"

#include <carrel/config.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

namespace carrel::sql::sqlite {
namespace {

tl::unexpected<Error> bad(const Url& url, const std::string& why) {
  return fail(Code::kInvalid, "\"" + url.redacted() + "\": " + why, "sqlite");
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace

const char* to_string(Synchronous s) noexcept {
  switch (s) {
    case Synchronous::kNormal:
      return "NORMAL";
    case Synchronous::kOff:
      return "OFF";
    default:
      return "FULL";
  }
}

std::string Settings::gate() const {
  namespace fs = std::filesystem;
  constexpr int kMostLinks = 40;  // as many as the kernel follows
  std::error_code none;
  fs::path file = path;
  // Also where a link leads to what is not there yet: SQLite makes that.
  for (int i = 0; i < kMostLinks && fs::is_symlink(file, none); ++i) {
    file = file.parent_path() / fs::read_symlink(file, none);
  }
  const fs::path found = fs::weakly_canonical(file, none);
  return (found.empty() ? file : found).string() + "-gate";
}

Result<Settings> settings_of(const Url& url) {
  Settings settings;
  settings.path = url.rest;
  if (settings.path.empty()) {
    return bad(url, R"(there is no file in it; expected one such as "sqlite:jobs.db")");
  }
  if (settings.path == ":memory:") {
    return bad(url,
               "SQLite's own memory database cannot be shared by threads; "
               R"("memory:" keeps jobs in memory)");
  }
  // SQLite would read such a name as a URI with options of its own.
  if (settings.path.starts_with("file:")) {
    return bad(url, R"(the file is named without "file:", such as "sqlite:jobs.db")");
  }
  if (settings.path.starts_with("//")) {
    return bad(url, R"(a file has no host; expected "sqlite:/path" or "sqlite:path")");
  }
  // SOCI has no way to write this character in its connection string.
  if (settings.path.find('"') != std::string::npos) {
    return bad(url, R"(the file's name must not contain a '"')");
  }
  for (const auto& option : url.query) {
    const std::string& key = option.first;
    const std::string& value = option.second;
    if (key == "synchronous") {
      constexpr std::array kAll{Synchronous::kFull, Synchronous::kNormal,
                                Synchronous::kOff};
      const auto* const found =
          std::find_if(kAll.begin(), kAll.end(),
                       [&](Synchronous s) { return upper(value) == to_string(s); });
      if (found == kAll.end()) {
        return bad(url,
                   "synchronous: expected FULL, NORMAL or OFF, got \"" + value + "\"");
      }
      settings.synchronous = *found;
    } else if (key == "busy_timeout") {
      const auto duration = parse_duration(value);
      if (!duration) return bad(url, "busy_timeout: " + duration.error().message);
      if (*duration <= Duration::zero() || *duration > std::chrono::hours(1)) {
        return bad(url, "busy_timeout: expected more than 0 and at most 1h, got \"" +
                            value + "\"");
      }
      settings.busy_timeout = *duration;
    } else if (key == "migrate") {
      const auto migrate = parse_migrate(value);
      if (!migrate) return bad(url, migrate.error().message);
      settings.migrate = *migrate;
    } else {
      return bad(url, "there is no option \"" + key +
                          "\"; allowed are synchronous, busy_timeout and migrate");
    }
  }
  return settings;
}

}  // namespace carrel::sql::sqlite
