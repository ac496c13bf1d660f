// The file of a broker: broker.toml. Its keys are in backends/zmq/README.md.
#pragma once

#include <carrel/zmq.h>

#include <filesystem>
#include <string>

namespace carrel::zmq {

struct BrokerConfig {
  BrokerOptions broker;
  std::string store;  // URL; empty: tickets only
  Retention retention;
  LogLevel log_level = LogLevel::kInfo;
};

// kInvalid names the line and what would be right; kNotFound: there is no such file.
// Relative paths in it start at its folder.
Result<BrokerConfig> load_config(const std::filesystem::path& file);

}  // namespace carrel::zmq
