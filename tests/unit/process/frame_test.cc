// The parser of what a child writes: pure, so every cut of a stream can be tried.
#include "frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

namespace carrel::process {
namespace {

using Kind = FrameStep::Kind;
const FrameBounds kBounds{1000, 500};

std::string frame(FrameType type, std::string_view body) {
  return std::string(encode_frame_header(type, body.size())).append(body);
}

TEST(Frame, AWholeFrameIsReadInPlace) {
  const std::string in = frame(FrameType::kLog, "hello") + "rest";
  const FrameStep step = parse_frame(in, kBounds);
  ASSERT_EQ(step.kind, Kind::kFrame);
  EXPECT_EQ(step.type, FrameType::kLog);
  EXPECT_EQ(step.body, "hello");
  EXPECT_EQ(in.substr(step.used), "rest");
}

TEST(Frame, EveryPrefixAsksForMore) {
  const std::string in = frame(FrameType::kResult, "0123456789");
  for (std::size_t n = 0; n < in.size(); ++n) {
    EXPECT_EQ(parse_frame(std::string_view(in).substr(0, n), kBounds).kind, Kind::kMore)
        << n;
  }
}

TEST(Frame, BoundsAreThoseOfTheType) {
  const auto kind = [](FrameType type, std::uint64_t length) {
    return parse_frame(encode_frame_header(type, length), kBounds).kind;
  };
  EXPECT_EQ(kind(FrameType::kResult, 1000), Kind::kMore);
  EXPECT_EQ(kind(FrameType::kResult, 1001), Kind::kTooLarge);
  EXPECT_EQ(kind(FrameType::kCheckpoint, 500), Kind::kMore);
  EXPECT_EQ(kind(FrameType::kCheckpoint, 501), Kind::kTooLarge);
  EXPECT_EQ(kind(FrameType::kLog, kMaxLogLine), Kind::kMore);
  EXPECT_EQ(kind(FrameType::kLog, kMaxLogLine + 1), Kind::kBroken);
  EXPECT_EQ(kind(FrameType::kProgress, 1 << 20), Kind::kBroken);
  EXPECT_EQ(kind(FrameType::kError, 1 << 20), Kind::kBroken);
  EXPECT_EQ(kind(FrameType::kResult, ~0ULL), Kind::kTooLarge);
  EXPECT_EQ(kind(FrameType::kLog, ~0ULL - 15), Kind::kBroken);
  EXPECT_EQ(kind(static_cast<FrameType>(0), 0), Kind::kBroken);
  EXPECT_EQ(kind(FrameType::kDone, 17), Kind::kBroken);
  EXPECT_EQ(kind(static_cast<FrameType>(7), 0), Kind::kBroken);
}

TEST(Frame, AWrongMagicIsToldByItsFirstFourBytes) {
  EXPECT_EQ(parse_frame("abc", kBounds).kind, Kind::kMore);
  EXPECT_EQ(parse_frame("abcd", kBounds).kind, Kind::kBroken);
}

TEST(Frame, RandomBytesNeverYieldMoreThanThereIs) {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string in = frame(static_cast<FrameType>(1 + random() % 5),
                           std::string(random() % 64, static_cast<char>(random())));
    for (unsigned flips = random() % 4; flips > 0; --flips) {
      in[random() % in.size()] = static_cast<char>(random());
    }
    in.resize(random() % (in.size() + 1));
    const FrameStep step = parse_frame(in, kBounds);
    if (step.kind != Kind::kFrame) continue;
    ASSERT_LE(step.used, in.size());
    ASSERT_EQ(step.body.size() + kFrameHeader, step.used);
    decode_error(step.body);
    decode_progress(step.body);
  }
}

TEST(Frame, ErrorsComeBackAsTheyWere) {
  const Error error{Code::kNotFound, "no user", "ldap", 32, std::chrono::seconds(5)};
  const auto back = decode_error(encode_error(error));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->code, error.code);
  EXPECT_EQ(back->message, error.message);
  EXPECT_EQ(back->origin, error.origin);
  EXPECT_EQ(back->native, 32);
  EXPECT_EQ(back->retry_in, error.retry_in);
}

TEST(Frame, LongTextsOfErrorsAreCutWithinTheirBound) {
  const Error error{Code::kFailed, std::string(1 << 20, 'm'), std::string(1 << 20, 'o')};
  const std::string body = encode_error(error);
  const std::string in = frame(FrameType::kError, body);
  EXPECT_EQ(parse_frame(in, kBounds).kind, Kind::kFrame);
  EXPECT_EQ(decode_error(body)->message.size(), kMaxErrorText);
}

TEST(Frame, ErrorsThatCannotBeAreRefused) {
  std::string body = encode_error({Code::kFailed, "x"});
  EXPECT_FALSE(decode_error(body.substr(0, body.size() - 1)));
  EXPECT_FALSE(decode_error(body + "x"));
  body[0] = 99;
  EXPECT_FALSE(decode_error(body));
  body = encode_error({Code::kFailed, "x"});
  body.replace(5, 8, 8, '\xff');  // a delay of less than none
  EXPECT_FALSE(decode_error(body));
}

// As handlers say it of a time that has passed: what is due at once is no broken frame.
TEST(Frame, ADelayOfLessThanNoneIsNone) {
  const auto back = decode_error(encode_error({Code::kFailed, "x", "", 0, Duration{-1}}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->retry_in, Duration{0});
}

TEST(Frame, ProgressIsAFractionAndAText) {
  const std::string body = encode_progress(0.5F, "half");
  const auto note = decode_progress(body);
  ASSERT_TRUE(note);
  EXPECT_FLOAT_EQ(note->fraction, 0.5F);
  EXPECT_EQ(note->message, "half");
  EXPECT_FALSE(decode_progress("abc"));
  EXPECT_FALSE(decode_progress(encode_progress(1.5F, "")));
  EXPECT_FALSE(
      decode_progress(encode_progress(std::numeric_limits<float>::quiet_NaN(), "")));
}

TEST(Frame, TextIsNotCutWithinACharacter) {
  EXPECT_EQ(cut_text("abc", 3), "abc");
  EXPECT_EQ(cut_text("abcd", 3), "abc");
  EXPECT_EQ(cut_text("ab\xC3\xA9", 3), "ab");
  EXPECT_EQ(cut_text("\xE2\x82\xAC", 2), "");
}

}  // namespace
}  // namespace carrel::process
