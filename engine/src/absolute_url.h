// Where the addresses of a configuration lead.
#pragma once

#include <carrel/config.h>

#include <filesystem>
#include <string>

namespace carrel {

// `url`; the file of a "sqlite:", and the `secret_file` of a "zmq+…:", begin at
// `directory`. Where that is empty: as they are given.
std::string absolute_url(const std::filesystem::path& directory, const std::string& url);
// From the configuration's directory.
std::string absolute_url(const Config& config, const std::string& url);

}  // namespace carrel
