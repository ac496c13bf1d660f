#include <carrel/config.h>
#include <gtest/gtest.h>

#include <limits>

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsEveryUnit) {
  EXPECT_EQ(parse_duration("7us"), 7us);
  EXPECT_EQ(parse_duration("7\xc2\xb5s"), 7us);
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("36h"), 36h);
  EXPECT_EQ(parse_duration("7d"), 168h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("0.25h"), 15min);
  EXPECT_EQ(parse_duration("-2s"), -2s);
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "s", "30", "30 s", " 30s", "30s ", "3x", "1.s", ".5s",
                           "--1s", "1e3s", "1,5s", "30S", "1h30m", "0x10s", "\xff"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().message.find("such as \"30s\", got \"" + std::string(text)),
              std::string::npos)
        << parsed.error().message;
  }
}

TEST(Duration, SaysWhatIsWrong) {
  EXPECT_NE(parse_duration("30").error().message.find("no unit"), std::string::npos);
  EXPECT_NE(parse_duration("30sec").error().message.find("one of us, ms"),
            std::string::npos);
  EXPECT_NE(parse_duration("0.5us").error().message.find("finer"), std::string::npos);
  EXPECT_NE(parse_duration("0.1234567s").error().message.find("six"), std::string::npos);
}

TEST(Duration, TooLongIsAnErrorAndNotAnOverflow) {
  for (const char* text : {"106751992d", "9223372036854775808us",
                           "99999999999999999999999999d", "9223372036854.775808s"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("too long"), std::string::npos) << text;
  }
  EXPECT_EQ(parse_duration("9223372036854775807us"), Duration::max());
}

TEST(Duration, PrintsTheShortestForm) {
  EXPECT_EQ(to_text(0s), "0s");
  EXPECT_EQ(to_text(1500ms), "1.5s");
  EXPECT_EQ(to_text(250ms), "250ms");
  EXPECT_EQ(to_text(120s), "2m");
  EXPECT_EQ(to_text(90s), "90s");
  EXPECT_EQ(to_text(36h), "36h");
  EXPECT_EQ(to_text(168h), "7d");
  EXPECT_EQ(to_text(17us), "17us");
  EXPECT_EQ(to_text(1'000'001us), "1.000001s");
  EXPECT_EQ(to_text(-1500ms), "-1.5s");
}

TEST(Duration, WhatIsPrintedReadsBack) {
  for (std::int64_t us :
       {std::int64_t{1}, std::int64_t{999}, std::int64_t{1'000}, std::int64_t{1'050},
        std::int64_t{999'999}, std::int64_t{61'000'000}, std::int64_t{3'600'000'001},
        std::int64_t{86'400'000'000}, std::numeric_limits<std::int64_t>::max()}) {
    for (Duration d : {Duration{us}, Duration{-us}}) {
      EXPECT_EQ(parse_duration(to_text(d)), d) << to_text(d);
    }
  }
}

}  // namespace
}  // namespace carrel
