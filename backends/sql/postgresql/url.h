// What a "postgresql:" URL says.
#pragma once

#include <carrel/registry.h>

#include <string>

#include "migrate.h"

namespace carrel::sql::postgresql {

struct Settings {
  std::string connect;  // for libpq
  std::string listen;   // likewise, of the connection that listens; empty: none does
  std::string place;    // for messages: the URL without options and password
  bool prepare = true;
  Duration call_timeout = std::chrono::seconds(5);
  Migrate migrate = Migrate::kNew;
};

// kInvalid names what is wrong and what would be right. What is not an option of carrel's
// is one of libpq's.
Result<Settings> settings_of(const Url& url);

}  // namespace carrel::sql::postgresql
