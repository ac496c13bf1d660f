// What config_value.cc and config_text.cc share: the types that keys have.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "config_schema.h"
#include "wording.h"

namespace carrel::config {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;
using Mounts = std::vector<SandboxMount>;
using States = std::vector<State>;

template <class T>
inline constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// The names of an enumeration's values, in TOML and in variables.
template <class E>
struct Choice {
  E value;
  std::string_view name;
};
inline constexpr std::array<Choice<Role>, 2> kRoles{
    {{Role::kWorker, "worker"}, {Role::kProducer, "producer"}}};
inline constexpr std::array<Choice<Mode>, 2> kModes{
    {{Mode::kNormal, "normal"}, {Mode::kInline, "inline"}}};
inline constexpr std::array<Choice<LogLevel>, 5> kLevels{{{LogLevel::kDebug, "debug"},
                                                          {LogLevel::kInfo, "info"},
                                                          {LogLevel::kWarn, "warn"},
                                                          {LogLevel::kError, "error"},
                                                          {LogLevel::kOff, "off"}}};
inline constexpr std::array<Choice<SandboxTier>, 4> kTiers{
    {{SandboxTier::kNone, "none"},
     {SandboxTier::kRestricted, "restricted"},
     {SandboxTier::kStandard, "standard"},
     {SandboxTier::kFull, "full"}}};
inline constexpr std::array<Choice<SandboxNetwork>, 2> kNetworks{
    {{SandboxNetwork::kNone, "none"}, {SandboxNetwork::kHost, "host"}}};
inline constexpr std::array<Choice<SandboxSyscalls>, 3> kSyscalls{
    {{SandboxSyscalls::kDefault, "default"},
     {SandboxSyscalls::kStrict, "strict"},
     {SandboxSyscalls::kOff, "off"}}};
inline constexpr std::array<Choice<OnConflict>, 3> kOnConflicts{
    {{OnConflict::kSkip, "skip"},
     {OnConflict::kReplace, "replace"},
     {OnConflict::kReplaceKeepTime, "replace_keep_time"}}};
inline constexpr std::array<Choice<Output>, 2> kOutputs{
    {{Output::kAuto, "auto"}, {Output::kText, "text"}}};
inline constexpr std::array<Choice<QueueOrder>, 3> kOrders{
    {{QueueOrder::kMixed, "mixed"},
     {QueueOrder::kStrict, "strict"},
     {QueueOrder::kWeighted, "weighted"}}};
constexpr const auto& choices(Output) { return kOutputs; }
constexpr const auto& choices(QueueOrder) { return kOrders; }
constexpr const auto& choices(OnConflict) { return kOnConflicts; }
constexpr const auto& choices(SandboxTier) { return kTiers; }
constexpr const auto& choices(SandboxNetwork) { return kNetworks; }
constexpr const auto& choices(SandboxSyscalls) { return kSyscalls; }
constexpr const auto& choices(Role) { return kRoles; }
constexpr const auto& choices(Mode) { return kModes; }
constexpr const auto& choices(LogLevel) { return kLevels; }

// `"worker" or "producer"`
template <class E>
std::string choice_names() {
  std::string names;
  for (const auto& choice : choices(E{})) {
    if (!names.empty()) names += &choice == &choices(E{}).back() ? " or " : ", ";
    names += quote(choice.name);
  }
  return names;
}

// Calls f(std::type_identity<T>) with the type of the member that the key sets.
template <class Root, class F>
decltype(auto) with_type(const Key<Root>& key, F f) {
  return std::visit(
      [&](auto member) {
        return f(
            std::type_identity<std::decay_t<decltype(member(std::declval<Root&>()))>>{});
      },
      key.member);
}

// A number as its key's type writes it; `type` only picks the type.
std::string number_text(double x, std::type_identity<double> type, bool bytes);
std::string number_text(double x, std::type_identity<Duration> type, bool bytes);
template <class T>
requires kIsInteger<T> std::string number_text(double x, std::type_identity<T>,
                                               bool bytes) {
  if (bytes) return size_text(static_cast<std::uint64_t>(x));
  return std::to_string(static_cast<std::int64_t>(x));
}

// As a message shows it: short, on one line, valid UTF-8 whatever was read.
std::string brief(const Json& value);

}  // namespace carrel::config
