// Holds: a place at a keyed limit for code that is no job. What Engine::hold answers
// with, and how its rows are told from jobs.
#pragma once

#include <carrel/result.h>

#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

namespace carrel {

// A hold is a row of the store, in this queue and of a kind that begins so; after the
// colon stands the engine that waits or holds: the end of `worker` in the row. No worker
// runs it. It counts at its limit as a job does, and is kept as one.
inline constexpr std::string_view kHoldQueue = "carrel.hold";
inline constexpr std::string_view kHoldKind = "carrel.hold:";
constexpr bool is_hold(std::string_view kind) noexcept {
  return kind.substr(0, kHoldKind.size()) == kHoldKind;
}

namespace detail {

template <class F>
decltype(auto) call_held(F& fn, const std::stop_token& lost) {
  if constexpr (std::is_invocable_v<F&, std::stop_token>) {
    return fn(lost);
  } else {
    return fn();
  }
}

template <class T>
struct HoldAnswer {
  using Type = Result<T>;
};
template <class T>
struct HoldAnswer<Result<T>> {
  using Type = Result<T>;
};

template <class F>
using HeldValue = std::decay_t<decltype(call_held(
    std::declval<F&>(), std::declval<const std::stop_token&>()))>;

}  // namespace detail

// Result<what F returns>; of a Result<T>, that itself.
template <class F>
using HoldResult = typename detail::HoldAnswer<detail::HeldValue<F>>::Type;

}  // namespace carrel
