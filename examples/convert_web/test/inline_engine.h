// An engine in memory that converts where it is asked to, for tests of the site.
#pragma once

#include <carrel/engine.h>

namespace convert_web {

inline carrel::Engine inline_engine() {
  carrel::Config config;
  config.store = "memory:";
  config.mode = carrel::Mode::kInline;
  config.log.level = carrel::LogLevel::kError;
  return carrel::Engine::open(config).value();
}

}  // namespace convert_web
