// Every key of the configuration, once: its name, the member it sets, its bounds and what
// it means. TOML, the environment, CONFIG.md and `carrel doctor` all read this list.
#pragma once

#include <carrel/config.h>

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace carrel::config {

// Finds the member that a key sets; its type is the key's type.
template <class Root>
using Member = std::variant<
    bool& (*)(Root&), std::string& (*)(Root&), Duration& (*)(Root&),
    std::int16_t& (*)(Root&), std::uint16_t& (*)(Root&), std::uint64_t& (*)(Root&),
    double& (*)(Root&), std::vector<std::string>& (*)(Root&),
    std::map<std::string, std::string>& (*)(Root&), Json& (*)(Root&), Role& (*)(Root&),
    Mode& (*)(Root&), LogLevel& (*)(Root&), std::uint32_t& (*)(Root&),
    std::vector<SandboxMount>& (*)(Root&), SandboxTier& (*)(Root&),
    SandboxNetwork& (*)(Root&), SandboxSyscalls& (*)(Root&),
    std::vector<State>& (*)(Root&), OnConflict& (*)(Root&), QueueOrder& (*)(Root&),
    Output& (*)(Root&)>;

// What a number must keep to, both ends included; a duration counts in microseconds.
struct Bounds {
  double min = 0;
  double max = std::numeric_limits<double>::max();
};

template <class Root>
struct Key {
  std::string_view name;  // with its tables: "worker.lease", "retry.base"
  Member<Root> member;
  std::string_view doc;  // one sentence, as CONFIG.md has it
  Bounds bounds = {};
  bool bytes = false;  // a number of bytes: "1MiB" is one too
};
using EngineKey = Key<Config>;
using KindKey = Key<KindConfig>;
using QueueKey = Key<QueueConfig>;
using SandboxKey = Key<SandboxProfile>;

std::span<const EngineKey> engine_keys();    // at the top, [worker], [retention], [log]
std::span<const KindKey> kind_keys();        // in [defaults] and each [jobs.NAME]
std::span<const QueueKey> queue_keys();      // in each [queues.NAME]
std::span<const SandboxKey> sandbox_keys();  // in each [sandbox.NAME]

// The longest duration that any key takes.
inline constexpr Duration kLongest = std::chrono::hours(24) * 36'500;

// Sets the key's member from a value of TOML's types. The error says what was expected
// and what was found, and does not name the key: its caller does, with the place.
template <class Root>
Result<void> set(const Key<Root>& key, Root& root, const Json& value);

// Whether the member keeps to the key's bounds, whoever set it.
template <class Root>
Result<void> check(const Key<Root>& key, const Root& root);

// A variable's text as the JSON that set() wants for this key; "x" stays text where the
// key wants a number, for set() to refuse.
template <class Root>
Json from_text(const Key<Root>& key, std::string_view text);

// A number, text or truth value, or one of a set of names: what fits in a variable.
template <class Root>
bool is_scalar(const Key<Root>& key);

// "duration", "size", `"worker" or "producer"`, …
template <class Root>
std::string type_name(const Key<Root>& key);

// The member's value as TOML writes it.
template <class Root>
std::string shown(const Key<Root>& key, const Root& root);

// The key's line in CONFIG.md: name, type, default, meaning.
template <class Root>
std::string documentation(const Key<Root>& key);

// "CARREL_WORKER_LEASE" of "worker.lease".
std::string variable_name(std::string_view key);

// "64KiB", "1MiB"; a plain number is bytes.
Result<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);

}  // namespace carrel::config
