#include "base64.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace carrel {
namespace {

// RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandardBothWays) {
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string("\0\xff\xfe\x3f", 4), "AP/+Pw=="},
  };
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  EXPECT_EQ(from_base64("Zm8"), "fo");
  EXPECT_EQ(from_base64("Zm 8"), std::nullopt);
}

}  // namespace
}  // namespace carrel
