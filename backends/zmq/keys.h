// Who may speak to a broker: public keys, each with a name and a role.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "messages.h"

namespace carrel::zmq {

// Threads: safe.
class Keys {
 public:
  struct Entry {
    std::string name;
    KeyRole role = KeyRole::kProducer;
  };

  // Reads a TOML file of tables [NAME] with `key` and `role`. kInvalid names the line;
  // what was known before stays.
  Result<void> load(const std::filesystem::path& file);
  std::optional<Entry> find(const std::string& public_key) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by public key
};

std::string_view to_string(KeyRole role) noexcept;  // "producer", "worker", "admin"

}  // namespace carrel::zmq
