// What a program prints, as lines, notes and a result; and where programs are found.
#include "lines.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "program.h"

namespace carrel::process {
namespace {

std::vector<std::string> cut(std::size_t longest,
                             std::initializer_list<std::string_view> parts) {
  std::vector<std::string> lines;
  LineCutter cutter(longest);
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  for (const auto part : parts) cutter.feed(part, keep);
  cutter.finish(keep);
  return lines;
}

TEST(Lines, AreJoinedOverReadsAndCutWhereLong) {
  using V = std::vector<std::string>;
  EXPECT_EQ(cut(10, {"one\ntw", "o\n", "\nlast"}), (V{"one", "two", "", "last"}));
  EXPECT_EQ(cut(3, {"abcdef", "ghi\nxy\n"}), (V{"abc", "xy"}));
  EXPECT_EQ(cut(3, {"\n"}), V{""});
}

TEST(Tail, KeepsTheLastBytesFromTheStartOfALine) {
  Tail tail(10);
  for (int i = 0; i < 1000; ++i) tail.feed(std::to_string(i) + "\n");
  EXPECT_EQ(tail.take(), "998\n999\n");
  tail.feed("short");
  EXPECT_EQ(tail.take(), "short");
  tail.feed(std::string(100, 'x') + "\xC3\xA9" + std::string(9, 'y'));
  EXPECT_EQ(tail.take(), std::string(9, 'y'));
}

TEST(Note, ProgressAndLogAreUnderstoodAndNothingElse) {
  const auto progress = parse_note("progress 0.4 half of it");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->kind, Note::Kind::kProgress);
  EXPECT_FLOAT_EQ(progress->fraction, 0.4F);
  EXPECT_EQ(progress->text, "half of it");
  EXPECT_EQ(parse_note("progress 1")->text, "");
  EXPECT_FLOAT_EQ(parse_note("progress 7 x")->fraction, 1);
  EXPECT_FLOAT_EQ(parse_note("progress -1")->fraction, 0);
  EXPECT_EQ(parse_note("log any text")->text, "any text");
  EXPECT_EQ(parse_note("log")->text, "");
  for (const char* bad : {"", "progress", "progress half", "progress 0.4x",
                          "progress nan", "progressive 1", "logs", "hello"}) {
    EXPECT_FALSE(parse_note(bad)) << bad;
  }
}

TEST(Output, JsonStaysAndTextBecomesAString) {
  const auto result_of_output = [](std::string_view output) {
    return carrel::process::result_of_output(output, Output::kAuto);
  };
  EXPECT_EQ(result_of_output(""), "");
  EXPECT_EQ(result_of_output(" \n"), "");
  EXPECT_EQ(result_of_output("null\n"), "");
  EXPECT_EQ(result_of_output(" {\"a\": 1}\n"), "{\"a\": 1}");
  EXPECT_EQ(result_of_output("12\n"), "12");
  EXPECT_EQ(result_of_output(std::string_view("12\0", 3)), R"("12\u0000")");
  EXPECT_EQ(result_of_output("hello\n"), "\"hello\"");
  EXPECT_EQ(result_of_output("two\nlines\n\n"), "\"two\\nlines\\n\"");
  EXPECT_EQ(result_of_output("\xFF"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(result_of_output("{\"a\":"), "\"{\\\"a\\\":\"");
}

TEST(Output, TextStaysTextWhateverItLooksLike) {
  const auto text = [](std::string_view output) {
    return carrel::process::result_of_output(output, Output::kText);
  };
  EXPECT_EQ(text(""), "\"\"");
  EXPECT_EQ(text("null\n"), "\"null\\n\"");
  EXPECT_EQ(text(" {\"a\": 1}\n"), "\" {\\\"a\\\": 1}\\n\"");
  EXPECT_EQ(text("two\nlines\n\n"), "\"two\\nlines\\n\\n\"");
  EXPECT_EQ(text("\xFF"), "\"\xEF\xBF\xBD\"");
}

TEST(FindProgram, TakesTheFirstThatCanBeExecuted) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("carrel-path-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder / "a" / "tool");  // a folder is no program
  std::filesystem::create_directories(folder / "b");
  std::filesystem::create_directories(folder / "c");
  std::ofstream(folder / "b" / "tool") << "x";
  std::ofstream(folder / "c" / "tool") << "x";
  chmod((folder / "b" / "tool").c_str(), 0600);
  chmod((folder / "c" / "tool").c_str(), 0700);
  const std::string a = folder / "a";
  const std::string b = folder / "b";
  const std::string c = folder / "c";
  EXPECT_EQ(find_program("tool", a + ":" + b + ":" + c), c + "/tool");
  EXPECT_EQ(find_program("tool", a + ":" + b), b + "/tool");
  EXPECT_EQ(find_program("tool", a), "");
  EXPECT_EQ(find_program("nothing", a + ":" + b + ":" + c), "");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace carrel::process
