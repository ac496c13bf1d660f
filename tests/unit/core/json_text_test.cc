#include "json_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>

namespace carrel {
namespace {

TEST(JsonText, IsWhatDumpWrites) {
  const std::vector<Json> values = {
      nullptr,
      true,
      false,
      0,
      -1,
      std::numeric_limits<std::int64_t>::min(),
      std::numeric_limits<std::uint64_t>::max(),
      0.1,
      1e300,
      std::numeric_limits<double>::quiet_NaN(),
      "",
      "plain",
      "with \"quotes\" and a \\",
      "line\n, tab\t, escape\x1b, delete\x7f",
      std::string("zero\0byte", 9),
      "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
      Json::array(),
      Json::object(),
      {1, "two", {3.5, nullptr}, Json::array(), Json::object()},
      {{"name", "value"}, {"", 1}, {"a \"name\"", {{"\xc3\xa4", true}}}},
      Json::binary({1, 2, 3}, 7),
  };
  for (const Json& value : values) EXPECT_EQ(json_text(value), value.dump());
}

TEST(JsonText, EveryByteOfALongString) {
  for (int byte = 0; byte < 0x80; ++byte) {
    for (const std::size_t at : {0, 37, 63, 95, 96, 99}) {
      std::string text(100, 'x');
      text[at] = static_cast<char>(byte);
      EXPECT_EQ(json_text(text), Json(text).dump()) << byte << " at " << at;
      EXPECT_EQ(json_text({{text, 1}}), Json({{text, 1}}).dump()) << byte << " at " << at;
    }
  }
}

TEST(JsonText, InvalidUtf8IsRefusedAsDumpDoes) {
  EXPECT_THROW(json_text("\xff"), Json::type_error);
  EXPECT_THROW(json_text({{"name", {1, "cut \xc3"}}}), Json::type_error);
  EXPECT_THROW(json_text({{"\x80", 1}}), Json::type_error);
}

TEST(JsonText, WhatWasNotParsedIsNoValue) {
  const Json discarded = Json::parse("{", nullptr, false);
  EXPECT_THROW(json_text(discarded), std::invalid_argument);
  EXPECT_THROW(json_text({{"a", {1, discarded}}}), std::invalid_argument);
}

TEST(JsonText, WhatNestsTooDeepIsNoJson) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  const Json deepest = json_from_text(nested(kMaxJsonDepth));
  ASSERT_TRUE(deepest.is_array());
  EXPECT_EQ(json_text(deepest), nested(kMaxJsonDepth));
  EXPECT_TRUE(json_from_text(nested(kMaxJsonDepth + 1)).is_discarded());
  EXPECT_THROW(json_text(Json::parse(nested(kMaxJsonDepth + 1))), std::length_error);
  EXPECT_TRUE(json_from_text(nested(1'000'000)).is_discarded());
  // Brackets within a string are text, also behind an escaped quote.
  const std::string text = R"(["\"\\)" + std::string(2 * kMaxJsonDepth, '[') + "\"]";
  EXPECT_FALSE(json_from_text(text).is_discarded());
  EXPECT_TRUE(json_from_text("{").is_discarded());
}

TEST(JsonText, ANulByteEndsNoJson) {
  using namespace std::string_view_literals;
  EXPECT_TRUE(json_from_text("1\0"sv).is_discarded());
  EXPECT_TRUE(json_from_text("{}\0{}"sv).is_discarded());
  EXPECT_EQ(json_from_text(R"("\u0000")"), std::string(1, '\0'));
}

}  // namespace
}  // namespace carrel
