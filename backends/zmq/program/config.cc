#include "config.h"

#include <carrel/config.h>

#include <array>
#include <functional>
#include <map>
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace carrel::zmq {
namespace {

namespace fs = std::filesystem;

constexpr Duration kCentury = std::chrono::hours(24 * 36'500);

// Why a value cannot be; empty: it can.
using Problem = std::string;
using Reader = std::function<Problem(const toml::node&)>;

Reader text(std::string& out) {
  return [&out](const toml::node& node) -> Problem {
    const auto value = node.value_exact<std::string>();
    if (!value) return "expected a text";
    out = *value;
    return {};
  };
}

Reader texts(std::vector<std::string>& out) {
  return [&out](const toml::node& node) -> Problem {
    const toml::array* array = node.as_array();
    if (array == nullptr) return "expected a list of texts";
    out.clear();
    for (const toml::node& item : *array) {
      const auto value = item.value_exact<std::string>();
      if (!value) return "expected a list of texts";
      out.push_back(*value);
    }
    return {};
  };
}

// Of a socket's file, too.
Reader addresses(std::vector<std::string>& out, const fs::path& folder) {
  return [&out, folder](const toml::node& node) -> Problem {
    if (Problem problem = texts(out)(node); !problem.empty()) return problem;
    constexpr std::string_view kIpc = "ipc://";
    for (std::string& address : out) {
      if (!address.starts_with(kIpc)) continue;
      const std::string path = address.substr(kIpc.size());
      // An abstract name is none of a file, and * is any that is free.
      if (path.empty() || path.front() == '@' || path == "*") continue;
      address = std::string(kIpc) + (folder / path).string();
    }
    return {};
  };
}

Reader path(fs::path& out, const fs::path& folder) {
  return [&out, folder](const toml::node& node) -> Problem {
    const auto value = node.value_exact<std::string>();
    if (!value || value->empty()) return "expected the name of a file";
    out = folder / *value;  // an absolute one stays
    return {};
  };
}

Reader flag(bool& out) {
  return [&out](const toml::node& node) -> Problem {
    const auto value = node.value_exact<bool>();
    if (!value) return "expected true or false";
    out = *value;
    return {};
  };
}

Reader duration(Duration& out, Duration least, Duration most) {
  return [&out, least, most](const toml::node& node) -> Problem {
    const auto value = node.value_exact<std::string>();
    const auto parsed = value ? parse_duration(*value) : fail(Code::kInvalid, "");
    if (!parsed || *parsed < least || *parsed > most) {
      return R"(expected a duration such as "1s", from )" + to_text(least) + " to " +
             to_text(most);
    }
    out = *parsed;
    return {};
  };
}

Reader store(std::string& out) {
  return [&out](const toml::node& node) -> Problem {
    if (Problem problem = text(out)(node); !problem.empty()) return problem;
    if (!out.starts_with("sqlite::memory:")) return {};
    return "every connection to \"sqlite::memory:\" has a database of its own: name a "
           "file, or \"memory:\"";
  };
}

template <class T>
Reader number(T& out, std::int64_t least, std::int64_t most) {
  return [&out, least, most](const toml::node& node) -> Problem {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < least || *value > most) {
      return "expected a number from " + std::to_string(least) + " to " +
             std::to_string(most);
    }
    out = static_cast<T>(*value);
    return {};
  };
}

// [queues.NAME]: a table for each.
Reader limits(std::map<std::string, std::uint32_t>& out) {
  return [&out](const toml::node& node) -> Problem {
    const toml::table* queues = node.as_table();
    if (queues == nullptr) return "expected tables, such as [queues.pull]";
    for (const auto& [name, queue] : *queues) {
      const std::string in = std::string(name.str()) + ": ";
      const toml::table* table = queue.as_table();
      if (table == nullptr) return in + "expected a table, with a limit";
      for (const auto& [key, item] : *table) {
        if (key.str() != "limit") {
          return in + "there is no key " + std::string(key.str()) + "; allowed is limit";
        }
        std::uint32_t limit = 0;
        if (auto why = number(limit, 0, 1'000'000)(item); !why.empty()) {
          return in + "limit: " + why;
        }
        if (limit > 0) out[std::string(name.str())] = limit;
      }
    }
    return {};
  };
}

Reader level(LogLevel& out) {
  return [&out](const toml::node& node) -> Problem {
    constexpr std::array<std::string_view, 5> kLevels{"debug", "info", "warn", "error",
                                                      "off"};
    const auto value = node.value_exact<std::string>();
    for (std::size_t i = 0; value && i < kLevels.size(); ++i) {
      if (kLevels[i] == *value) {
        out = static_cast<LogLevel>(i);
        return {};
      }
    }
    return R"(expected "debug", "info", "warn", "error" or "off")";
  };
}

using Readers = std::map<std::string, Reader, std::less<>>;

Result<void> read_table(const toml::table& table, const Readers& readers,
                        const std::string& prefix, const std::string& file) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    const std::string where =
        file + ":" + std::to_string(node.source().begin.line) + ": " + name + ": ";
    const auto reader = readers.find(name);
    if (const toml::table* inner = node.as_table();
        inner != nullptr && prefix.empty() && reader == readers.end()) {
      if (auto ok = read_table(*inner, readers, name + ".", file); !ok) return ok;
      continue;
    }
    if (reader == readers.end()) {
      std::string known;
      for (const auto& [other, read] : readers)
        known += (known.empty() ? "" : ", ") + other;
      return fail(Code::kInvalid, where + "there is no such key; allowed are " + known,
                  "config");
    }
    if (const Problem problem = reader->second(node); !problem.empty()) {
      return fail(Code::kInvalid, where + problem, "config");
    }
  }
  return {};
}

Readers readers_of(BrokerConfig& config, const fs::path& folder) {
  BrokerOptions& b = config.broker;
  return {
      {"listen", addresses(b.listen, folder)},
      {"store", store(config.store)},
      {"secret_file", path(b.secret_file, folder)},
      {"keys_file", path(b.keys_file, folder)},
      {"sweep", flag(b.sweep)},
      {"poll", duration(b.poll, b.kShortestPoll, b.kLongestPoll)},
      {"limits.max_frame", number(b.max_frame, 64 << 10, 256 << 20)},
      {"limits.max_in_flight", number(b.max_in_flight, 1 << 20, std::int64_t{1} << 40)},
      {"limits.max_unread", number(b.max_unread, 1 << 20, std::int64_t{1} << 40)},
      {"limits.max_sessions", number(b.max_sessions, 1, 1'000'000)},
      {"limits.max_tickets", number(b.max_tickets, 1, 100'000'000)},
      {"limits.window", number(b.window, 1, 100'000)},
      {"retention.completed",
       duration(config.retention.completed, Duration{0}, kCentury)},
      {"retention.cancelled",
       duration(config.retention.cancelled, Duration{0}, kCentury)},
      {"retention.discarded",
       duration(config.retention.discarded, Duration{0}, kCentury)},
      {"retention.max_rows", number(config.retention.max_rows, 0, 1'000'000'000'000)},
      {"queues", limits(config.queue_limits)},
      {"log.level", level(config.log_level)},
  };
}

}  // namespace

Result<BrokerConfig> load_config(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) {
    return fail(Code::kNotFound, "there is no file " + file.string(), "config");
  }
  const auto parsed = toml::parse_file(file.string());
  if (!parsed) {
    return fail(Code::kInvalid,
                file.string() + ":" + std::to_string(parsed.error().source().begin.line) +
                    ": " + std::string(parsed.error().description()),
                "config");
  }
  const fs::path folder = fs::absolute(file, error).parent_path();
  BrokerConfig config;
  if (auto ok = read_table(parsed.table(), readers_of(config, folder), "", file.string());
      !ok) {
    return tl::unexpected<Error>(ok.error());
  }
  constexpr std::string_view kSqlite = "sqlite:";
  if (config.store.starts_with(kSqlite)) {
    config.store = "sqlite:" + (folder / config.store.substr(kSqlite.size())).string();
  }
  if (config.broker.listen.empty()) {
    return fail(
        Code::kInvalid,
        file.string() + R"(: listen: name an address, such as ["tcp://127.0.0.1:5555"])",
        "config");
  }
  return config;
}

}  // namespace carrel::zmq
