// The file of a broker: broker.toml. Its keys are in backends/zmq/README.md.
#pragma once

#include <carrel/zmq.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace carrel::zmq {

struct BrokerConfig {
  BrokerOptions broker;
  std::string store;  // URL; empty: tickets only
  Retention retention;
  std::map<std::string, std::uint32_t> queue_limits;  // as BackendOptions has them
  LogLevel log_level = LogLevel::kInfo;
};

// kInvalid names the line and what would be right; kNotFound: there is no such file.
// Relative paths in it start at its folder.
Result<BrokerConfig> load_config(const std::filesystem::path& file);

}  // namespace carrel::zmq
