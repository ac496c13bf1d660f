// The formats: each shot to each format and back, what real files are like, what is wrong
// with broken ones.
#include "formats/formats.h"

#include <gtest/gtest.h>

#include <cmath>

#include "samples.h"

namespace tracks {
namespace {

const Report kSilent = [](double, std::string_view) {};

Shot read(std::string_view format, std::string_view text, Size size = {1920, 1080}) {
  return find_format(format)->read(text, size, kSilent);
}

std::string trouble(std::string_view text, const std::string& from = {}) {
  const auto converted = convert(text, {from, "shake", {1920, 1080}, 0}, kSilent);
  return converted ? "it was converted" : converted.error().sentence();
}

TEST(Formats, EachShotConvertedToEachFormatIsThatFormatsFileToTheByte) {
  std::size_t good = 0, broken = 0;
  for (const auto& one : convert_web::all_cases()) {
    const auto text = convert_web::sample(one.name);
    ASSERT_TRUE(text) << one.name;
    const auto converted =
        convert(*text, {{}, std::string(one.to), {1920, 1080}, 0}, kSilent);
    if (one.error.empty()) {
      ++good;
      ASSERT_TRUE(converted) << one.name << ": " << converted.error().sentence();
      EXPECT_EQ(converted->text, one.expected) << one.name << " to " << one.to;
      EXPECT_EQ(converted->tracks, 4U);
      EXPECT_EQ(converted->points, 62U);
    } else {
      ++broken;
      ASSERT_FALSE(converted) << one.name;
      EXPECT_EQ(converted.error().sentence(), one.error) << one.name;
    }
  }
  EXPECT_EQ(good, 25U);
  EXPECT_EQ(broken, 10U);
}

TEST(Formats, AnythingThatIsWrittenIsReadAsTheSame) {
  Shot shot{Size{2048, 1556}, {}, {}};
  // Names and places that try each format's edges; gaps of one, two and many frames.
  for (const char* name : {"a", "two words", "with \"quotes\"", "#hash", "{brace", "über",
                           "[x]", "a", "$1\\2", "7"}) {
    Track track{name, {}};
    for (const int frame : {-3, 0, 1, 2, 3, 5, 7, 8, 9, 12, 100, 1000, 1001}) {
      track.points.push_back({frame, std::sin(frame) * 3000, -frame / 7.0});
    }
    shot.tracks.push_back(std::move(track));
  }
  for (const Format& format : formats()) {
    const std::string text = format.write(shot, *shot.size, kSilent);
    EXPECT_TRUE(format.looks_like(text)) << format.id;
    const Shot back = read(format.id, text, *shot.size);
    ASSERT_EQ(back.tracks.size(), shot.tracks.size()) << format.id;
    for (std::size_t i = 0; i < shot.tracks.size(); ++i) {
      const auto& was = shot.tracks[i].points;
      const auto& is = back.tracks[i].points;
      ASSERT_EQ(is.size(), was.size()) << format.id << ", " << shot.tracks[i].name;
      for (std::size_t k = 0; k < was.size(); ++k) {
        EXPECT_EQ(is[k].frame, was[k].frame) << format.id;
        EXPECT_NEAR(is[k].x, was[k].x, 1e-6) << format.id;
        EXPECT_NEAR(is[k].y, was[k].y, 1e-6) << format.id;
      }
    }
    // And what was read is written as the same again.
    EXPECT_EQ(format.write(back, *shot.size, kSilent), text) << format.id;
  }
}

TEST(Formats, BoujouCountsFromTheTop) {
  const Shot shot = read("boujou",
                         "# boujou 2d tracks export: text\r\n"
                         "# y  track_id  view  x\r\n171.677 T1 5 252.046\r\n",
                         {720, 576});
  EXPECT_NEAR(shot.tracks[0].points[0].y, 404.323, 1e-9);
  EXPECT_EQ(shot.tracks[0].points[0].x, 252.046);
  EXPECT_EQ(shot.tracks[0].points[0].frame, 5);
}

TEST(Formats, BoujouTracksNeedNotBeInOnePiece) {
  const Shot shot =
      read("boujou", "# track_id view x y\na 2 1 1\nb 1 5 5\na 1 0 0\n", {10, 10});
  ASSERT_EQ(shot.tracks.size(), 2U);
  ASSERT_EQ(shot.tracks[0].points.size(), 2U);
  EXPECT_EQ(shot.tracks[0].points[0].frame, 1);
}

TEST(Formats, PftrackCountsFromTheMiddleOfAPixel) {
  const Shot shot = read("pftrack", "\"F\"\n1\n1 0 0 0.0\n");
  EXPECT_EQ(shot.tracks[0].points[0].x, 0.5);
  EXPECT_EQ(shot.tracks[0].points[0].y, 0.5);
}

TEST(Formats, PftrackOfEachVersionAndOfTwoCameras) {
  EXPECT_EQ(read("pftrack", "\n\"Tracker1\"\n2\n41 1 2 0.0\n42 1 2 0.0\n").tracks[0].name,
            "Tracker1");  // 4
  EXPECT_EQ(read("pftrack", "# PFMatchit\n\"F1\"\n1\n1\n7 1 2 0.0\n").tracks[0].name,
            "F1");
  const Shot stereo =
      read("pftrack",
           "\"A\"\n\"Primary\"\n1\n7 1 2 0.0\n\"Secondary\"\n1\n7 3 4 0.0\n\n"
           "\"B\"\n\"Primary\"\n0\n\"Secondary\"\n1\n9 5 6 0.0\n");
  ASSERT_EQ(stereo.tracks.size(), 3U);
  EXPECT_EQ(stereo.tracks[1].name, "A_Secondary");
  EXPECT_EQ(stereo.tracks[2].name, "B_Secondary");
  EXPECT_EQ(stereo.notes,
            std::vector<std::string>{"1 track has no point and was left out."});
}

TEST(Formats, NukeCurvesJumpAndKeepTheStep) {
  const Shot shot = read("nuke",
                         "Tracker3 {\n track1 {{curve i x1 196 326 440 x6 554 658 752} "
                         "{curve x1 574 s95 556 534 x6 512 492 476}}\n name T\n}\n");
  ASSERT_EQ(shot.tracks.size(), 1U);
  std::vector<int> frames;
  for (const Point& point : shot.tracks[0].points) frames.push_back(point.frame);
  EXPECT_EQ(frames, (std::vector<int>{1, 2, 3, 6, 9, 12}));
  EXPECT_EQ(shot.tracks[0].points[4].y, 492);
  EXPECT_EQ(shot.tracks[0].name, "T");
}

TEST(Formats, NukeNodesOfEveryKindWithinAWholeScript) {
  const Shot shot =
      read("nuke",
           "#! /usr/local/Nuke7.0v8/Nuke7.0 -nx\nversion 7.0 v8\n"
           "define_window_layout_xml {<?xml version=\"1.0\"?>\n<l a=\"'\"/>\n}\n"
           "Root {\n inputs 0\n format \"2048 1556 0 0 2048 1556 1 2K\"\n}\n"
           "Group {\n name G\n knobChanged \"if a \\{ \\\"b\n\"\n}\n"
           "CornerPin2D {\n to1 {{curve x1 1 2} {curve x1 3 4}}\n"
           " to2 {{curve x1 5 6} {curve x1 7 8}}\n"
           " from1 {0 0}\n name Pin\n}\nend_group\n"
           "Tracker3 {\n track1 {{width} {curve x1 1}}\n name E\n}\n");
  ASSERT_EQ(shot.tracks.size(), 2U);
  EXPECT_EQ(shot.tracks[0].name, "Pin_to1");
  EXPECT_EQ(shot.tracks[1].points[1].y, 8);
  EXPECT_EQ(*shot.size, (Size{2048, 1556}));
  EXPECT_EQ(shot.notes, std::vector<std::string>{
                            "Track “E” has no curve of its own and was left out."});
}

TEST(Formats, FramesAreShiftedAndTheFilesOwnSizeHolds) {
  const auto converted = convert(*convert_web::sample("pan.nk"),
                                 {"nuke", "boujou", {100, 100}, 1000}, kSilent);
  ASSERT_TRUE(converted);
  EXPECT_EQ(converted->first, 1001);
  EXPECT_EQ(converted->last, 1024);
  EXPECT_EQ(converted->size, (Size{1920, 1080}));
  EXPECT_NE(converted->text.find("corner_of_roof  1001  "), std::string::npos);
}

TEST(Formats, WhatIsWrongIsSaidWithItsLine) {
  EXPECT_EQ(trouble("# track_id view x y\nA 1.5 2 3\n"),
            "Line 2: the frame should be a whole number, and is “1.5”.");
  EXPECT_EQ(trouble("# track_id view x y\nA 1 inf 3\n"),
            "Line 2: x should be a number, and is “inf”.");
  EXPECT_EQ(trouble("# track_id view x y\nA 1 1e99 3\n"),
            "Line 2: x is “1e99”, farther than any picture.");
  EXPECT_EQ(trouble("# track_id view x\nA 1 2\n"),
            "Line 1: the columns have no “y”: “# track_id view x”.");
  EXPECT_EQ(
      trouble("1\nA\n0\n99999999\n"),
      "Line 4: the number of points of a track is 99999999; 5000000 is the most that "
      "is converted.");
  EXPECT_EQ(trouble("1\nA\n0\n1\n1 2 3\nB\n"),
            "Line 6: there is more than the 1 tracks that the first line tells of.");
  EXPECT_EQ(trouble(std::string("1\nA\0\n0\n", 8)),
            "This is no text file: it has bytes of value zero in it.");
  EXPECT_EQ(trouble("TrackName \x1b[31m\n1 2 3 1\n"),
            "Line 1: the name of a track has a control character in it: “?[31m”.");
  EXPECT_EQ(trouble("TrackName a\n1 2 3 1\n", "word"), "There is no format “word”.");
  EXPECT_EQ(
      trouble("Root {\n}\nTracker4 {\n tracks {{1 31 1} {{5 1 20 enable e}} {}}\n}\n"),
      "Line 4: the table of tracks of “Tracker4” has no column “name”.");
}

TEST(Formats, FilesBuiltToHurtAreRefusedSoon) {
  const std::string braces(1 << 20, '{');
  EXPECT_NE(trouble("Root " + braces).find("never closed"), std::string::npos);
  EXPECT_NE(trouble("Tracker3 {\n track1 {{curve " + std::string(1 << 20, 'i') +
                    "} {curve}}\n}\n")
                .find("no track"),
            std::string::npos);
  std::string many = "# track_id view x y\n";
  for (std::size_t i = 0; i <= kMaxTracks; ++i) many += std::to_string(i) + " 1 2 3\n";
  EXPECT_EQ(trouble(many), "Line 100002: more than 100000 tracks.");
  EXPECT_NE(trouble("TrackName " + std::string(1 << 20, 'a') + "\n1 2 3 1\n")
                .find("longer than 200 bytes"),
            std::string::npos);
}

// Whatever is cut out of or changed in a good file is converted or refused, and never
// more.
TEST(Formats, NoCutAndNoChangedByteBreaksAReader) {
  std::size_t refused = 0;
  for (const auto& file : convert_web::samples()) {
    for (std::size_t at = 0; at < file.text.size(); at += 13) {
      refused += trouble(file.text.substr(0, at)) != "it was converted" ? 1 : 0;
      for (const char c : {'\0', '\n', '{', '}', '"', '-', '9', '\xff', '\\'}) {
        std::string changed(file.text);
        changed[at] = c;
        refused += trouble(changed) != "it was converted" ? 1 : 0;
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

TEST(Formats, ProgressGoesFromZeroToOneAndNeverBack) {
  double last = 0;
  std::size_t reports = 0;
  const auto converted =
      convert(*convert_web::sample("pan.boujou.txt"), {{}, "nuke", {1920, 1080}, 0},
              [&](double fraction, std::string_view doing) {
                EXPECT_GE(fraction, last);
                EXPECT_FALSE(doing.empty());
                last = fraction;
                ++reports;
              });
  ASSERT_TRUE(converted);
  EXPECT_EQ(last, 1);
  EXPECT_GT(reports, 15U);
}

}  // namespace
}  // namespace tracks
