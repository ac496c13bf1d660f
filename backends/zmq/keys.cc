#include "keys.h"

#include <array>
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "curve.h"

namespace carrel::zmq {
namespace {

constexpr std::array<std::string_view, 3> kRoles{"producer", "worker", "admin"};

std::optional<KeyRole> parse_role(std::string_view name) {
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i] == name) return static_cast<KeyRole>(i);
  }
  return std::nullopt;
}

Result<std::pair<std::string, Keys::Entry>> read_entry(const std::string& name,
                                                       const toml::node& node) {
  const auto bad = [&](const std::string& why) {
    return fail(
        Code::kInvalid,
        "line " + std::to_string(node.source().begin.line) + ": [" + name + "]: " + why,
        "zmq");
  };
  const toml::table* table = node.as_table();
  if (table == nullptr) return bad("expected a table with key and role");
  std::string key;
  std::optional<KeyRole> role;
  for (const auto& [field, value] : *table) {
    const auto text = value.value<std::string>();
    if (field == "key" && text && is_key(*text)) {
      key = *text;
    } else if (field == "role" && text && parse_role(*text)) {
      role = parse_role(*text);
    } else if (field == "key") {
      return bad("key: expected 64 hexadecimal digits in lower case");
    } else if (field == "role") {
      return bad(R"(role: expected "producer", "worker" or "admin")");
    } else {
      return bad("there is no field \"" + std::string(field.str()) +
                 "\"; allowed are key and role");
    }
  }
  if (key.empty() || !role) return bad("key and role must be there");
  return std::pair(key, Keys::Entry{name, *role});
}

}  // namespace

std::string_view to_string(KeyRole role) noexcept {
  return kRoles.at(static_cast<std::size_t>(role));
}

Result<void> Keys::load(const std::filesystem::path& file) {
  const auto parsed = toml::parse_file(file.string());
  const auto bad = [&](std::string_view why) {
    return fail(Code::kInvalid, file.string() + ": " + std::string(why), "zmq");
  };
  if (!parsed) return bad(parsed.error().description());
  std::map<std::string, Entry> entries;
  for (const auto& [name, node] : parsed.table()) {
    auto entry = read_entry(std::string(name.str()), node);
    if (!entry) return bad(entry.error().message);
    if (!entries.insert(std::move(*entry)).second) {
      return bad("[" + std::string(name.str()) + "] has the key of another");
    }
  }
  const std::lock_guard lock(mutex_);
  entries_ = std::move(entries);
  return {};
}

std::optional<Keys::Entry> Keys::find(const std::string& public_key) const {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(public_key);
  if (it == entries_.end()) return std::nullopt;
  return it->second;
}

}  // namespace carrel::zmq
