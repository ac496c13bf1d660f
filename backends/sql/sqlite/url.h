// What a "sqlite:" URL says.
#pragma once

#include <carrel/registry.h>

#include <string>

#include "migrate.h"

namespace carrel::sql::sqlite {

enum class Synchronous : std::uint8_t { kFull, kNormal, kOff };
const char* to_string(Synchronous s) noexcept;  // "FULL", "NORMAL", "OFF"

struct Settings {
  std::string path;
  // Of the lock by which processes take turns: beside the file itself, whatever links
  // lead to it, as SQLite has its own.
  std::string gate() const;
  Synchronous synchronous = Synchronous::kFull;
  // How long a write waits for its turn while other processes have theirs.
  Duration busy_timeout = std::chrono::seconds(5);
  Migrate migrate = Migrate::kOn;
};

// kInvalid names what is wrong and what would be right.
Result<Settings> settings_of(const Url& url);

}  // namespace carrel::sql::sqlite
