// What a person or a script hands in: its size, its numbers, and what is empty.
#include <gmock/gmock.h>

#include <fstream>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Input : public Command {
 protected:
  std::string refused(const std::vector<std::string>& arguments,
                      const std::string& input = {}) {
    const Said said = carrel(arguments, input);
    EXPECT_EQ(said.code, 2) << said.err;
    EXPECT_EQ(said.out, "");
    return said.err;
  }
};

TEST_F(Input, AnEmptyVariableIsNoFilterThatMatchesAll) {
  ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  ASSERT_EQ(carrel({"cancel", "1"}).code, 0);
  const std::vector<std::vector<std::string>> commands{
      {"retry", "--state", "cancelled", "--yes", "--kind", ""},
      {"retry", "--state", "cancelled", "--yes", "--queue", ""},
      {"list", "--kind", ""},
      {"list", "--queue", ""},
      {"export", "--kind", ""},
      {"run", "--queue", ""},
      {"enqueue", "k", "--request-id", ""},
      {"enqueue", "k", "--queue", ""},
      {"pause", ""},
      {"compare", "--kind", ""},
      {"compare", "--on", ""},
      {"compare", "--isolation", ""},
      {"sandbox", "--profile", "", "--", "true"},
      {"sandbox", "--args", "", "--", "true"}};
  for (const auto& command : commands) {
    EXPECT_THAT(refused(command), HasSubstr("it is empty")) << command[0];
  }
  EXPECT_EQ(show("1")["state"], "cancelled");
  EXPECT_EQ(carrel({"export"}).lines().size(), 1U);
}

TEST_F(Input, NumbersAreDecimalHoweverManyZerosTheyBeginWith) {
  for (int i = 0; i < 10; ++i) ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  ASSERT_EQ(carrel({"cancel", "010", "0009"}).code, 0);
  EXPECT_EQ(show("10")["state"], "cancelled");
  EXPECT_EQ(show("009")["id"], 9);
  EXPECT_EQ(show("8")["state"], "available");
  EXPECT_EQ(
      carrel({"list", "--json", "--limit", "010", "--before", "010"}).lines().size(), 9U);
  ASSERT_EQ(carrel({"enqueue", "k", "--priority", "-010"}).code, 0);
  EXPECT_EQ(show("11")["priority"], -10);
  EXPECT_THAT(refused({"list", "--limit", "0x3"}),
              HasSubstr("decimal number, got \"0x3\""));
  EXPECT_THAT(refused({"show", "0x3"}), HasSubstr("such as 7, got \"0x3\""));
}

TEST_F(Input, ANulByteEndsNoJson) {
  using namespace std::string_literals;
  EXPECT_THAT(refused({"enqueue", "k", "-"}, "{\"a\": 1}\0{}"s),
              HasSubstr("not JSON, from byte 9 on"));
  EXPECT_THAT(refused({"enqueue", "k", "--lines"}, "{\"a\": 1}\0{}\n"s),
              HasSubstr("not JSON, from byte 9 on"));
}

TEST_F(Input, ANameThatIsNoUtf8IsRefused) {
  for (const std::string option : {"--kind", "--queue"}) {
    EXPECT_THAT(refused({"list", option, "a\xff"}), HasSubstr("is not UTF-8"));
  }
  EXPECT_THAT(refused({"pause", "a\xff"}), HasSubstr("is not UTF-8"));
  EXPECT_THAT(refused({"enqueue", "a\xff"}), HasSubstr("of UTF-8"));
  EXPECT_THAT(refused({"enqueue", "k", "--queue", "a\xff"}), HasSubstr("of UTF-8"));
}

TEST_F(Input, WhatIsMuchTooLongIsNotEchoed) {
  const std::string name(70'000, 'n');
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"enqueue", name}, {"list", "--state", name}, {"show", name}, {name}}) {
    EXPECT_LT(refused(command).size(), 1'500U) << command[0].substr(0, 20);
  }
}

TEST_F(Input, AConfigurationWithoutEndIsRefused) {
  const Said said = shell("ulimit -v 2000000; carrel -c /dev/zero list; echo $?");
  EXPECT_EQ(said.out, "2\n") << said.err;
  EXPECT_THAT(said.err, HasSubstr("too large: it has more than 16 MiB"));
}

TEST_F(Input, ArgumentsWithoutEndAreRefused) {
  const Said said = shell("ulimit -v 2000000; carrel enqueue k - </dev/zero; echo $?");
  EXPECT_EQ(said.out, "2\n") << said.err;
  EXPECT_THAT(said.err, HasSubstr("more than 64 MiB"));
}

TEST_F(Input, ALineWithoutEndIsRefusedAndTheOthersAreNot) {
  const Said said = shell(
      "(echo 1; head -c 300000000 /dev/zero; echo; echo 3) | (ulimit -v 2000000; carrel "
      "enqueue k --lines); echo $?");
  EXPECT_EQ(said.out, "1\n2\n2\n") << said.err;
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 2: has more than 64 MiB"),
                              HasSubstr("2 of 3 jobs were enqueued\n")));
}

TEST_F(Input, LinesAreStoredBatchByBatch) {
  const Said said =
      shell("(seq 700; echo '{nope'; seq 9) | carrel enqueue k --lines; echo $?");
  ASSERT_EQ(said.lines().size(), 501U) << said.err;
  EXPECT_EQ(said.lines().back(), "2");
  EXPECT_THAT(said.err, AllOf(HasSubstr("line 701 are not JSON"),
                              HasSubstr("500 of 500 jobs were enqueued; those from line "
                                        "501 on were not tried\n")));
}

TEST_F(Input, NumbersThatCannotBeKeptAreRefused) {
  EXPECT_THAT(refused({"enqueue", "k", "1e999"}),
              AllOf(HasSubstr("the arguments hold a number that is too large: 1e999;"),
                    testing::Not(HasSubstr("defect"))));
  EXPECT_THAT(refused({"enqueue", "k", "--lines"}, "1\n[-1e999]\n"),
              HasSubstr("the arguments of line 2 hold a number that is too large"));
  EXPECT_THAT(refused({"enqueue", "k", R"({"\"7":[1,-99999999999999999999]})"}),
              HasSubstr("too large: -99999999999999999999;"));
  EXPECT_THAT(refused({"sandbox", "--args", "1e999", "--", "true"}),
              HasSubstr("too large: 1e999;"));
  const std::string kept =
      R"([18446744073709551615,-9223372036854775808,1e300,"99999999999999999999\""])";
  ASSERT_EQ(carrel({"enqueue", "k", kept}).code, 0);
  EXPECT_EQ(show("1")["args"].dump(), Json::parse(kept).dump());
  EXPECT_THAT(refused({"enqueue", "k", "--priority", "99999999999"}),
              AllOf(HasSubstr("-32768"), HasSubstr("32767")));
}

TEST_F(Input, APlaceToGoOnFromIsANumber) {
  ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  for (const std::string command : {"list", "export"}) {
    for (const std::string id : {"-1", "99999999999999999999", "x", ""}) {
      refused({command, "--before", id});
    }
    EXPECT_EQ(carrel({command, "--before", "0"}).code, 0);
  }
}

}  // namespace
}  // namespace carrel::cli_test
