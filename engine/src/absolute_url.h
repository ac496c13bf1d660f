// Where the addresses of a configuration lead.
#pragma once

#include <carrel/config.h>

#include <string>

namespace carrel {

// `url`; the file of a "sqlite:" is looked for from the configuration's directory.
std::string absolute_url(const Config& config, const std::string& url);

}  // namespace carrel
