// TOML to Config. toml++ stays in this file: it is compiled in, as its shared library
// would be one more for every host to load.
#include <carrel/config.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

// A name of its own: a host that uses toml++ with other settings, or of another version,
// would share inline functions with this copy, and crash.
#define toml carrel_toml
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "config_schema.h"
#include "wording.h"

namespace carrel {
namespace {

namespace fs = std::filesystem;

// Dates and times become text, as no key of ours is one: its own check refuses them.
Json to_json(const toml::node& node) {
  Json out;
  node.visit([&out](const auto& n) {
    using T = std::decay_t<decltype(n)>;
    if constexpr (toml::is_table<T>) {
      out = Json::object();
      for (const auto& [key, item] : n) out[std::string(key.str())] = to_json(item);
    } else if constexpr (toml::is_array<T>) {
      out = Json::array();
      for (const auto& item : n) out.push_back(to_json(item));
    } else if constexpr (toml::is_string<T> || toml::is_integer<T> ||
                         toml::is_floating_point<T> || toml::is_boolean<T>) {
      out = n.get();
    } else {
      std::ostringstream text;
      text << n.get();
      out = Json{{"date", text.str()}};
    }
  });
  return out;
}

class Reader {
 public:
  Reader(std::string_view source, Config& config) : source_(source), config_(config) {}

  Result<void> read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key.str() == "defaults" || key.str() == "jobs" || key.str() == "sandbox") {
        continue;
      }
      walk(config::engine_keys(), config_, "", "", key, node);
    }
    // Jobs begin as a copy of the defaults, so these come first, wherever they stand.
    if (const auto at = root.find("defaults"); at != root.end()) {
      if (const auto* table = as_table("defaults", at->second)) {
        for (const auto& [key, node] : *table) {
          walk(config::kind_keys(), config_.defaults, "defaults.", "", key, node);
        }
      }
    }
    if (const auto at = root.find("sandbox"); at != root.end()) {
      if (const auto* sandboxes = as_table("sandbox", at->second)) {
        for (const auto& [name, node] : *sandboxes) sandbox(name, node);
      }
    }
    if (const auto at = root.find("jobs"); at != root.end()) {
      if (const auto* jobs = as_table("jobs", at->second)) {
        for (const auto& [name, node] : *jobs) job(name, node);
      }
    }
    if (first_) return tl::unexpected<Error>(*first_);
    return {};
  }

 private:
  void job(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    const std::string prefix = "jobs." + name;
    const auto* table = as_table(prefix, node);
    if (table == nullptr) return;
    config_.places[prefix] = place(key.source().begin);
    KindConfig& kind = config_.jobs[name] = config_.defaults;
    const auto isolation = (*table)["isolation"].value<std::string_view>();
    if (isolation && *isolation != kind.isolation) {
      kind.command.clear();
      kind.key.clear();
      kind.settings = Json::object();
    }
    for (const auto& [k, n] : *table) {
      walk(config::kind_keys(), kind, prefix + ".", "", k, n);
    }
  }

  void sandbox(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    const std::string prefix = "sandbox." + name;
    const auto* table = as_table(prefix, node);
    if (table == nullptr) return;
    config_.places[prefix] = place(key.source().begin);
    // A table with the name of a tier changes that tier.
    SandboxProfile profile = config_.sandbox(name).value_or(SandboxProfile{});
    for (const auto& [k, n] : *table) {
      walk(config::sandbox_keys(), profile, prefix + ".", "", k, n);
    }
    config_.sandboxes[name] = std::move(profile);
  }

  // `prefix`: what messages put before the name; `parent`: tables within the key list.
  template <class Root>
  void walk(std::span<const config::Key<Root>> keys, Root& root,
            const std::string& prefix, const std::string& parent, const toml::key& key,
            const toml::node& node) {
    const std::string name = parent + std::string(key.str());
    bool is_parent = false;
    for (const auto& known : keys) {
      if (known.name == name) {
        config_.places[prefix + name] = place(key.source().begin);
        if (auto ok = config::set(known, root, to_json(node)); !ok) {
          note(node.source().begin, prefix + name + ": " + ok.error().message);
        }
        return;
      }
      is_parent |= known.name.starts_with(name + ".");
    }
    if (!is_parent) return unknown(keys, prefix, name, key);
    if (const auto* table = as_table(prefix + name, node)) {
      for (const auto& [k, n] : *table) walk(keys, root, prefix, name + ".", k, n);
    }
  }

  template <class Root>
  void unknown(std::span<const config::Key<Root>> keys, const std::string& prefix,
               const std::string& name, const toml::key& key) {
    std::vector<std::string> known;
    for (const auto& k : keys) {
      known.emplace_back(k.name);
      known.emplace_back(k.name.substr(0, k.name.find('.')));
    }
    if (prefix.empty()) known.insert(known.end(), {"defaults", "jobs", "sandbox"});
    auto guess = nearest(name, known);
    const std::string leaf = name.substr(name.rfind('.') + 1);
    for (const auto& k : keys) {
      if (!guess && k.name.ends_with("." + leaf)) guess = k.name;
    }
    std::string message = prefix + name + ": there is no such key";
    if (guess) message += "; did you mean " + quote(prefix + *guess) + "?";
    note(key.source().begin, std::move(message));
  }

  const toml::table* as_table(const std::string& name, const toml::node& node) {
    const auto* table = node.as_table();
    if (table == nullptr) {
      note(node.source().begin, name + ": expected a table, [" + name + "]");
    }
    return table;
  }

  std::string place(const toml::source_position& at) const {
    return source_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  }

  // Keeps the error that stands first in the file: tables are read in another order.
  void note(const toml::source_position& at, std::string message) {
    if (first_ && !(at < first_at_)) return;
    first_at_ = at;
    first_ =
        Error{Code::kInvalid, place(at) + ": " + std::move(message), "config", 0, {}};
  }

  std::string source_;
  Config& config_;
  std::optional<Error> first_;
  toml::source_position first_at_{};
};

Result<Config> parse_in(std::string_view toml, std::string_view source,
                        const fs::path& directory) {
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    const auto& error = parsed.error();
    const auto& at = error.source().begin;
    std::string message(source);
    message.append(":").append(std::to_string(at.line)).append(":");
    message.append(std::to_string(at.column)).append(": not TOML: ");
    return fail(Code::kInvalid, message.append(error.description()), "config");
  }
  Config config;
  config.directory = directory;
  if (auto ok = Reader(source, config).read(parsed.table()); !ok) {
    return tl::unexpected<Error>(ok.error());
  }
  if (auto ok = config.validate(); !ok) return tl::unexpected<Error>(ok.error());
  return config;
}

tl::unexpected<Error> unreadable(const fs::path& file, int error) {
  const Code code = error == ENOENT ? Code::kNotFound : Code::kInvalid;
  return fail(
      code,
      "cannot read the configuration " + file.string() + ": " + std::strerror(error),
      "config", error);
}

}  // namespace

Result<Config> Config::parse(std::string_view toml, std::string_view source_name) {
  return parse_in(toml, source_name, {});
}

Result<Config> Config::load(const fs::path& file) {
  std::error_code error;
  if (fs::is_directory(file, error)) return unreadable(file, EISDIR);
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return unreadable(file, errno != 0 ? errno : EIO);
  std::ostringstream text;
  text << stream.rdbuf();
  if (stream.bad()) return unreadable(file, EIO);
  return parse_in(text.str(), file.string(), fs::absolute(file, error).parent_path());
}

}  // namespace carrel
