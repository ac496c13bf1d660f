#include <carrel/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace carrel {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Url, SplitsSchemeRestAndQuery) {
  const auto url = Url::parse("SQLite:jobs.db?synchronous=NORMAL&mode=a%26b+c");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->text, "SQLite:jobs.db?synchronous=NORMAL&mode=a%26b+c");
  EXPECT_EQ(url->scheme, "sqlite");
  EXPECT_EQ(url->rest, "jobs.db");
  EXPECT_EQ(url->query, (std::map<std::string, std::string>{{"synchronous", "NORMAL"},
                                                            {"mode", "a&b+c"}}));
}

TEST(Url, MayBeAllScheme) {
  const auto url = Url::parse("memory:");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "memory");
  EXPECT_EQ(url->rest, "");
  EXPECT_TRUE(url->query.empty());
}

TEST(Url, KeepsTheRestUndecoded) {
  const auto url = Url::parse("postgresql://u:p%40ss@db.example:5432/jobs?x=y");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->rest, "//u:p%40ss@db.example:5432/jobs");
  EXPECT_EQ(Url::parse("zmq+tcp://*:5555")->scheme, "zmq+tcp");
  EXPECT_EQ(Url::parse("memory:?")->rest, "");
}

TEST(Url, HidesPasswords) {
  const auto shown = [](const char* text) { return Url::parse(text)->redacted(); };
  EXPECT_EQ(shown("postgresql://u:secret@h:5432/db?x=y"),
            "postgresql://u:***@h:5432/db?x=y");
  EXPECT_EQ(shown("postgresql://h:5432/db?user=u@x"), "postgresql://h:5432/db?user=u@x");
  EXPECT_EQ(shown("postgresql://u@h/db?password=secret&x=y"),
            "postgresql://u@h/db?password=***&x=y");
  EXPECT_EQ(shown("mysql://h/db?a=b&sslPassword=s%26t"),
            "mysql://h/db?a=b&sslPassword=***");
  EXPECT_EQ(shown("sqlite:jobs.db?mode=ro"), "sqlite:jobs.db?mode=ro");
  EXPECT_EQ(shown("sqlite:///srv/a:b@c/jobs.db"), "sqlite:///srv/a:b@c/jobs.db");
  EXPECT_EQ(shown("zmq+tcp://127.0.0.1:5555"), "zmq+tcp://127.0.0.1:5555");
}

TEST(Url, HidesPasswordsThatShouldHaveBeenEncoded) {
  for (const char* text :
       {"postgresql://u:se/cret@h/db", "postgresql://u:se@cret@h/db",
        "postgresql://u:se/cr@et@h/db", "postgresql://u:se?x=cret@h/db"}) {
    const auto url = Url::parse(text);
    ASSERT_TRUE(url) << text;
    EXPECT_THAT(url->redacted(), AllOf(Not(HasSubstr("se")), Not(HasSubstr("cr")),
                                       HasSubstr("u:***@h/db")))
        << text;
  }
}

TEST(Url, HidesThePasswordOfWhatIsNone) {
  for (const std::string begin : {"postgresql//", " postgresql://", "//"}) {
    const auto url = Url::parse(begin + "u:secret@h/db");
    ASSERT_FALSE(url) << begin;
    EXPECT_THAT(url.error().message,
                AllOf(Not(HasSubstr("secret")), HasSubstr(begin + "u:***@h/db")));
  }
}

TEST(Url, HidesThePasswordOfWhatNoClientTakes) {
  const auto shown = [](const char* text) { return Url::parse(text)->redacted(); };
  EXPECT_EQ(shown("postgresql:/u:secret@h/db"), "postgresql:/u:***@h/db");
  EXPECT_EQ(shown("postgresql:u:secret@h/db"), "postgresql:u:***@h/db");
  EXPECT_EQ(shown("postgresql:host=h password=secret port=1"),
            "postgresql:host=h password=*** port=1");
  EXPECT_EQ(shown("mysql:user=a;password=secret;port=1"),
            "mysql:user=a;password=***;port=1");
  EXPECT_EQ(shown("sqlite:/srv/token=a/x:y@z.db"), "sqlite:/srv/token=a/x:y@z.db");
}

TEST(Url, RefusesWhatIsNone) {
  for (const char* text : {"", "jobs.db", "/srv/jobs.db", ":memory:", "1a:x", "a b:c",
                           "sqlite:a\nb", "sqlite:a?x", "sqlite:a?=y", "sqlite:a?x=%g0",
                           "sqlite:a?x=%4", "sqlite:a?x=1&x=2"}) {
    const auto url = Url::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Code::kInvalid) << text;
  }
}

TEST(Url, ErrorsNameTheUrlAndWhatWouldBeRight) {
  EXPECT_THAT(Url::parse("jobs.db").error().message,
              AllOf(HasSubstr("\"jobs.db\""), HasSubstr("sqlite:jobs.db")));
  EXPECT_THAT(Url::parse("sqlite:a?x=1&x=2").error().message,
              HasSubstr("\"x\" is given twice"));
  EXPECT_THAT(Url::parse("mysql://u:secret@h/db?x").error().message,
              AllOf(HasSubstr("mysql://u:***@h/db?x"), Not(HasSubstr("secret")),
                    HasSubstr("name=value")));
}

}  // namespace
}  // namespace carrel
