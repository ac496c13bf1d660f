// What a "mysql:" URL says.
#pragma once

#include <carrel/registry.h>

#include <string>

#include "migrate.h"

namespace carrel::sql::mariadb {

struct Settings {
  std::string connect;  // for SOCI
  std::string place;    // for messages: the URL without options and password
  Duration call_timeout = std::chrono::seconds(5);
  Migrate migrate = Migrate::kNew;
};

// kInvalid names what is wrong and what would be right.
Result<Settings> settings_of(const Url& url);

}  // namespace carrel::sql::mariadb
