// What the tests of this folder ask of a configuration file.
#pragma once

#include <carrel/config.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace carrel {

// Of a file called c.toml; "no error" if it has none.
inline std::string error_of(std::string_view toml) {
  const auto config = Config::parse(toml, "c.toml");
  if (config) return "no error";
  EXPECT_EQ(config.error().code, Code::kInvalid);
  if (toml.find("\\n") == toml.npos) {  // it quotes none
    EXPECT_EQ(config.error().message.find('\n'), std::string::npos)
        << "more than one line";
  }
  return config.error().message;
}

}  // namespace carrel
