// From TOML's types, or a variable's text, to the member that a key sets.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "config_types.h"

namespace carrel::config {
namespace {

tl::unexpected<Error> expected(std::string_view what, const Json& got) {
  std::string message = "expected ";
  return fail(Code::kInvalid, message.append(what).append(", got ").append(brief(got)),
              "config");
}

template <class T>
Result<void> in_bounds(double x, const Bounds& bounds, bool bytes, const Json& got) {
  constexpr std::type_identity<T> type;
  if (x >= bounds.min && x <= bounds.max) return {};
  if (x < bounds.min) {
    return expected("at least " + number_text(bounds.min, type, bytes), got);
  }
  return expected("at most " + number_text(bounds.max, type, bytes), got);
}

Result<void> assign(bool& out, const Json& v, const Bounds&, bool) {
  if (!v.is_boolean()) return expected("true or false", v);
  out = v.get<bool>();
  return {};
}

Result<void> assign(std::string& out, const Json& v, const Bounds&, bool) {
  if (!v.is_string()) return expected("a string", v);
  out = v.get<std::string>();
  return {};
}

Result<void> assign(Duration& out, const Json& v, const Bounds& bounds, bool) {
  if (!v.is_string()) return expected("a duration such as \"30s\"", v);
  auto parsed = parse_duration(v.get_ref<const std::string&>());
  if (!parsed) return fail(Code::kInvalid, parsed.error().message, "config");
  const auto x = static_cast<double>(parsed->count());
  if (auto ok = in_bounds<Duration>(x, bounds, false, v); !ok) return ok;
  out = *parsed;
  return {};
}

Result<void> assign(double& out, const Json& v, const Bounds& bounds, bool) {
  if (!v.is_number()) return expected("a number", v);
  const auto x = v.get<double>();
  if (!std::isfinite(x)) return expected("a number", v);
  if (auto ok = in_bounds<double>(x, bounds, false, v); !ok) return ok;
  out = x;
  return {};
}

template <class T>
requires kIsInteger<T> Result<void> assign(T& out, const Json& v, const Bounds& bounds,
                                           bool bytes) {
  std::int64_t x = 0;
  if (bytes && v.is_string()) {
    auto size = parse_size(v.get_ref<const std::string&>());
    if (!size) return fail(Code::kInvalid, size.error().message, "config");
    x = static_cast<std::int64_t>(*size);
  } else if (v.is_number_integer()) {
    x = v.get<std::int64_t>();
  } else {
    return expected(
        bytes ? "a number of bytes or a size such as \"64KiB\"" : "a whole number", v);
  }
  const double min =
      std::max(bounds.min, static_cast<double>(std::numeric_limits<T>::min()));
  // Whole numbers are exact in a double up to here.
  const double max =
      std::min({bounds.max, static_cast<double>(std::numeric_limits<T>::max()), 9e15});
  if (auto ok = in_bounds<T>(static_cast<double>(x), {min, max}, bytes, v); !ok) {
    return ok;
  }
  out = static_cast<T>(x);
  return {};
}

Result<void> assign(Strings& out, const Json& v, const Bounds&, bool) {
  if (!v.is_array()) return expected("an array of strings such as [\"a\", \"b\"]", v);
  Strings strings;
  for (const Json& item : v) {
    if (!item.is_string()) return expected("only strings in the array", item);
    strings.push_back(item.get<std::string>());
  }
  out = std::move(strings);
  return {};
}

Result<void> assign(States& out, const Json& v, const Bounds&, bool) {
  if (!v.is_array()) {
    return expected("an array of states such as [\"available\", \"running\"]", v);
  }
  States states;
  for (const Json& item : v) {
    const auto state =
        item.is_string() ? parse_state(item.get_ref<const std::string&>()) : std::nullopt;
    if (!state) {
      return expected(
          "only pending, scheduled, available, running, retryable, completed, cancelled "
          "and discarded in the array",
          item);
    }
    states.push_back(*state);
  }
  out = std::move(states);
  return {};
}

Result<void> assign(StringMap& out, const Json& v, const Bounds&, bool) {
  if (!v.is_object()) return expected("a table of strings such as { LANG = \"C\" }", v);
  StringMap map;
  for (const auto& [name, item] : v.items()) {
    if (!item.is_string()) return expected("a string for " + quote(name), item);
    map.emplace(name, item.get<std::string>());
  }
  out = std::move(map);
  return {};
}

Result<void> assign(Mounts& out, const Json& v, const Bounds&, bool) {
  constexpr std::string_view kShape =
      "an array of tables such as { src = \"/srv/data\", dst = \"/data\", ro = true }";
  if (!v.is_array()) return expected(kShape, v);
  Mounts mounts;
  for (const Json& item : v) {
    SandboxMount& mount = mounts.emplace_back();
    if (!item.is_object() || !item.contains("src")) return expected(kShape, item);
    for (const auto& [name, part] : item.items()) {
      if (name == "ro" && part.is_boolean()) {
        mount.ro = part.get<bool>();
      } else if (name == "src" && part.is_string()) {
        mount.src = part.get<std::string>();
      } else if (name == "dst" && part.is_string()) {
        mount.dst = part.get<std::string>();
      } else {
        return expected(kShape, item);
      }
    }
  }
  out = std::move(mounts);
  return {};
}

Result<void> assign(Json& out, const Json& v, const Bounds&, bool) {
  if (!v.is_object()) return expected("a table", v);
  out = v;
  return {};
}

template <class E>
requires std::is_enum_v<E> Result<void> assign(E& out, const Json& v, const Bounds&,
                                               bool) {
  for (const auto& choice : choices(E{})) {
    if (v.is_string() && v.get_ref<const std::string&>() == choice.name) {
      out = choice.value;
      return {};
    }
  }
  return expected(choice_names<E>(), v);
}

}  // namespace

template <class Root>
Result<void> set(const Key<Root>& key, Root& root, const Json& value) {
  return std::visit(
      [&](auto member) { return assign(member(root), value, key.bounds, key.bytes); },
      key.member);
}

template <class Root>
Result<void> check(const Key<Root>& key, const Root& root) {
  Root& readable = const_cast<Root&>(root);  // only read here
  return std::visit(
      [&](auto member) -> Result<void> {
        const auto& value = member(readable);
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Duration>) {
          return in_bounds<T>(static_cast<double>(value.count()), key.bounds, false,
                              to_text(value));
        } else if constexpr (std::is_same_v<T, double>) {
          if (!std::isfinite(value)) return expected("a number", value);
          return in_bounds<T>(value, key.bounds, false, value);
        } else if constexpr (kIsInteger<T>) {
          return in_bounds<T>(static_cast<double>(value), key.bounds, key.bytes, value);
        } else {
          return {};
        }
      },
      key.member);
}

template <class Root>
Json from_text(const Key<Root>& key, std::string_view text) {
  return with_type(key, [&]<class T>(std::type_identity<T>) -> Json {
    const char* end = text.data() + text.size();
    if constexpr (std::is_same_v<T, bool>) {
      if (text == "true" || text == "1") return true;
      if (text == "false" || text == "0") return false;
    } else if constexpr (kIsInteger<T>) {
      std::int64_t x = 0;
      const auto read = std::from_chars(text.data(), end, x);
      if (read.ec == std::errc{} && read.ptr == end) return x;
    } else if constexpr (std::is_same_v<T, double>) {
      double x = 0;
      const auto read = std::from_chars(text.data(), end, x);
      if (read.ec == std::errc{} && read.ptr == end) return x;
    }
    return text;
  });
}

template <class Root>
bool is_scalar(const Key<Root>& key) {
  return with_type(key, []<class T>(std::type_identity<T>) {
    return !std::is_same_v<T, Strings> && !std::is_same_v<T, StringMap> &&
           !std::is_same_v<T, Mounts> && !std::is_same_v<T, Json> &&
           !std::is_same_v<T, States>;
  });
}

template Result<void> set(const EngineKey&, Config&, const Json&);
template Result<void> set(const KindKey&, KindConfig&, const Json&);
template Result<void> set(const QueueKey&, QueueConfig&, const Json&);
template Result<void> set(const SandboxKey&, SandboxProfile&, const Json&);
template Result<void> check(const EngineKey&, const Config&);
template Result<void> check(const KindKey&, const KindConfig&);
template Result<void> check(const QueueKey&, const QueueConfig&);
template Result<void> check(const SandboxKey&, const SandboxProfile&);
template Json from_text(const EngineKey&, std::string_view);
template Json from_text(const KindKey&, std::string_view);
template bool is_scalar(const EngineKey&);
template bool is_scalar(const KindKey&);

}  // namespace carrel::config
