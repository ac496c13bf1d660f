// Text for people, whatever is in it.
#include "text.h"

#include <gtest/gtest.h>

namespace carrel::cli_test {
namespace {

using cli::cut;
using cli::escaped_controls;
using cli::printable;
using cli::width;

TEST(Text, WhatCommandsATerminalIsBlank) {
  EXPECT_EQ(printable("a\x1b[2Jb\x7f"), "a [2Jb ");
  EXPECT_EQ(printable("a\xc2\x9b"
                      "31m"),
            "a 31m")
      << "a control of one character";
  EXPECT_EQ(printable("a\nb\tc"), "a b c");
  EXPECT_EQ(printable("a\nb\tc\r", true), "a\nb\tc ");
}

TEST(Text, WhatCommandsATerminalIsANumberInJson) {
  EXPECT_EQ(escaped_controls("[\"a\xc2\x9b\x7f\u202eb\"]"),
            R"(["a\u009b\u007f\u202eb"])");
  EXPECT_EQ(escaped_controls("[\"«ä» 漢字 🙂\"]"), "[\"«ä» 漢字 🙂\"]");
}

TEST(Text, WhatTurnsOrBreaksALineIsBlank) {
  for (const char* one : {"\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069"}) {
    EXPECT_EQ(printable(std::string("a") + one + "b"), "a b");
    EXPECT_EQ(printable(std::string("a") + one + "b", true), "a b");
  }
  EXPECT_EQ(printable("«ä» 漢字 🙂"), "«ä» 漢字 🙂");
}

TEST(Text, WhatIsNoUtf8IsReplaced) {
  EXPECT_EQ(printable("a\x9b"
                      "31m"),
            "a\ufffd31m")
      << "a terminal may read it as a control";
  EXPECT_EQ(printable("\xff\xc3"), "\ufffd\ufffd");
  EXPECT_EQ(printable("\xc0\x9b"), "\ufffd\ufffd") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd") << "half of a pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd")
      << "beyond the last";
  EXPECT_EQ(printable("\xe6\xbc"), "\ufffd\ufffd") << "cut off";
}

TEST(Text, WidthIsThatOfATerminal) {
  EXPECT_EQ(width("carrel"), 6U);
  EXPECT_EQ(width("«ä»"), 3U);
  EXPECT_EQ(width("漢字"), 4U);
  EXPECT_EQ(width("a\u0301"), 1U);
  EXPECT_EQ(width("🙂"), 2U);
}

TEST(Text, CutFitsAndEndsAtACharacter) {
  EXPECT_EQ(cut("carrel", 6), "carrel");
  EXPECT_EQ(cut("carrel", 4), "car…");
  EXPECT_EQ(cut("漢字漢", 4), "漢…") << "two columns each";
  EXPECT_EQ(cut("äöü", 2), "ä…");
  EXPECT_EQ(cut("a\u0301b\u0301c", 2), "a\u0301…");
}

TEST(Text, OneOfAThingIsOne) {
  EXPECT_EQ(cli::counted(1, "job"), "1 job");
  EXPECT_EQ(cli::counted(0, "job"), "0 jobs");
  EXPECT_EQ(cli::counted(1'200, "attempt"), "1,200 attempts");
}

}  // namespace
}  // namespace carrel::cli_test
