// How the suites register their cases: explicitly, since static initialisers vanish from
// static archives.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "printers.h"

namespace carrel::conformance {

// A wait that only what it waits for may end.
inline constexpr auto kForever = std::chrono::hours(1);
inline const std::vector<std::string> kWork = {"work"};  // the kinds of most cases

// Fixture: a testing::Test made from a const Harness&. The cases may call its public
// members.
template <class Fixture, class Harness>
class Cases {
 public:
  using Body = std::function<void(Fixture&)>;

  Cases(std::string suite, Harness harness)
      : suite_(std::move(suite)), harness_(std::move(harness)) {}

  // `file` and `line` say where the case is, for a failure's message.
  void add(const char* name, Body body, const char* file = __builtin_FILE(),
           int line = __builtin_LINE()) {
    testing::RegisterTest(suite_.c_str(), name, nullptr, nullptr, file, line,
                          [harness = harness_, body = std::move(body)]() -> Fixture* {
                            return new Case(harness, body);
                          });
  }

  const Harness& harness() const noexcept { return harness_; }

 private:
  class Case final : public Fixture {
   public:
    Case(const Harness& harness, Body body) : Fixture(harness), body_(std::move(body)) {}
    void TestBody() override { body_(*this); }

   private:
    Body body_;
  };

  std::string suite_;
  Harness harness_;
};

// A value, or a failed case that says why not. For calls that must succeed:
//   auto tickets = must(store.peek(demand));
template <class T>
T must(Result<T> result, const char* file = __builtin_FILE(),
       int line = __builtin_LINE()) {
  if (!result) {
    ADD_FAILURE_AT(file, line) << to_string(result.error().code) << ": "
                               << result.error().message;
    if constexpr (std::is_void_v<T>) {
      return;
    } else {
      return T{};
    }
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace carrel::conformance
