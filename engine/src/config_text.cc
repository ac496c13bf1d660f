// Values of the configuration as text: for messages, and for CONFIG.md.
#include <charconv>
#include <cmath>
#include <utility>

#include "config_types.h"

namespace carrel::config {
namespace {

std::string as_toml(bool v, bool) { return v ? "true" : "false"; }
std::string as_toml(const std::string& v, bool) { return brief(Json(v)); }
std::string as_toml(Duration v, bool) { return quote(to_text(v)); }
std::string as_toml(double v, bool) {
  return number_text(v, std::type_identity<double>{}, false);
}
template <class T>
requires kIsInteger<T> std::string as_toml(T v, bool bytes) {
  return bytes ? quote(size_text(static_cast<std::uint64_t>(v))) : std::to_string(v);
}
std::string as_toml(const Strings& v, bool) {
  std::string text;
  for (const auto& s : v) text += (text.empty() ? "" : ", ") + brief(Json(s));
  return "[" + text + "]";
}
std::string as_toml(const States& v, bool bytes) {
  Strings names;
  for (const State state : v) names.emplace_back(to_string(state));
  return as_toml(names, bytes);
}
std::string as_toml(const StringMap& v, bool) {
  std::string text;
  for (const auto& [name, s] : v) {
    text += (text.empty() ? " " : ", ") + name + " = " + brief(Json(s));
  }
  return "{" + text + (text.empty() ? "}" : " }");
}
std::string as_toml(const Mounts& v, bool) {
  std::string text;
  for (const auto& mount : v) {
    text += (text.empty() ? "" : ", ") + std::string("{ src = ") +
            brief(Json(mount.src)) + ", dst = " + brief(Json(mount.dst)) +
            ", ro = " + (mount.ro ? "true" : "false") + " }";
  }
  return "[" + text + "]";
}
std::string as_toml(const Json& v, bool) { return v.empty() ? "{}" : brief(v); }
template <class E>
requires std::is_enum_v<E> std::string as_toml(E v, bool) {
  for (const auto& choice : choices(E{})) {
    if (choice.value == v) return quote(choice.name);
  }
  return "?";
}

struct SizeUnit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array<SizeUnit, 4> kSizeUnits{
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

}  // namespace

std::string brief(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return std::isnan(value.get<double>()) ? "nan" : "inf";
  }
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= 60) return text;
  return value.is_array() ? "an array" : value.is_object() ? "a table" : "a long text";
}

std::string number_text(double x, std::type_identity<double>, bool) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x).ptr;
  return {buffer.data(), end};
}

std::string number_text(double x, std::type_identity<Duration>, bool) {
  return to_text(Duration{static_cast<Duration::rep>(x)});
}

template <class Root>
std::string type_name(const Key<Root>& key) {
  return with_type(key, [&]<class T>(std::type_identity<T>) -> std::string {
    if constexpr (std::is_same_v<T, bool>) {
      return "true or false";
    } else if constexpr (std::is_same_v<T, std::string>) {
      return "string";
    } else if constexpr (std::is_same_v<T, Duration>) {
      return "duration";
    } else if constexpr (std::is_same_v<T, double>) {
      return "number";
    } else if constexpr (kIsInteger<T>) {
      return key.bytes ? "size" : "whole number";
    } else if constexpr (std::is_same_v<T, Strings>) {
      return "array of strings";
    } else if constexpr (std::is_same_v<T, States>) {
      return "array of states";
    } else if constexpr (std::is_same_v<T, StringMap>) {
      return "table of strings";
    } else if constexpr (std::is_same_v<T, Mounts>) {
      return "array of tables";
    } else if constexpr (std::is_same_v<T, Json>) {
      return "table";
    } else {
      return choice_names<T>();
    }
  });
}

template <class Root>
std::string shown(const Key<Root>& key, const Root& root) {
  Root copy = root;  // the members of a key take a Root that may be written
  return std::visit([&](auto member) { return as_toml(member(copy), key.bytes); },
                    key.member);
}

template <class Root>
std::string documentation(const Key<Root>& key) {
  std::string line = "| `";
  line.append(key.name).append("` | ").append(type_name(key)).append(" | `");
  line.append(shown(key, Root{})).append("` | ").append(key.doc).append(" |");
  return line;
}

template std::string type_name(const EngineKey&);
template std::string type_name(const KindKey&);
template std::string type_name(const QueueKey&);
template std::string type_name(const SandboxKey&);
template std::string shown(const EngineKey&, const Config&);
template std::string shown(const KindKey&, const KindConfig&);
template std::string shown(const QueueKey&, const QueueConfig&);
template std::string shown(const SandboxKey&, const SandboxProfile&);
template std::string documentation(const EngineKey&);
template std::string documentation(const KindKey&);
template std::string documentation(const QueueKey&);
template std::string documentation(const SandboxKey&);

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t whole = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, whole);
  if (read.ec == std::errc{}) {
    const std::string_view unit(read.ptr, static_cast<std::size_t>(end - read.ptr));
    for (const SizeUnit& known : kSizeUnits) {
      std::uint64_t bytes = 0;
      if ((unit == known.name || (unit.empty() && known.bytes == 1)) &&
          !__builtin_mul_overflow(whole, known.bytes, &bytes) && bytes < (1ULL << 53)) {
        return bytes;
      }
    }
  }
  return fail(
      Code::kInvalid,
      "expected a number of bytes or a size such as \"64KiB\" (B, KiB, MiB, GiB), got " +
          quote(text));
}

std::string size_text(std::uint64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0 && unit.bytes > 1) {
      return std::to_string(bytes / unit.bytes).append(unit.name);
    }
  }
  return std::to_string(bytes) + "B";
}

}  // namespace carrel::config
