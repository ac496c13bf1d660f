// Engines that count how many of their jobs of kind "work" run at once, all together.
#pragma once

#include <carrel/engine.h>
#include <carrel/sql.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

namespace carrel::test {

// Outlives its engines.
class Crowd {
 public:
  // More than `most` at once are too many.
  explicit Crowd(int most) : most_(most) {}

  // Does not start it.
  Engine engine(const Config& config) {
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    Engine engine = Engine::open(config, std::move(registry)).value();
    EXPECT_TRUE(engine.handle("work", [this](Context&) {
      if (++now_ > most_) crowded_ = true;
      std::this_thread::yield();
      --now_;
    }));
    return engine;
  }
  bool crowded() const { return crowded_; }

 private:
  const int most_;
  std::atomic<int> now_{0};
  std::atomic<bool> crowded_{false};
};

}  // namespace carrel::test
