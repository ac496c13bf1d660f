// What the site takes apart and puts together: forms, names, headers, pages, who may ask.
#include <gtest/gtest.h>
#include <trial/scratch.h>

#include "inline_engine.h"
#include "web/answers.h"
#include "web/mail.h"
#include "web/multipart.h"
#include "web/pages.h"

namespace convert_web {
namespace {

namespace ip = boost::asio::ip;
using namespace std::chrono_literals;

const Hosts kHosts(ip::make_address("127.0.0.1"), 1);

const std::string kType = "multipart/form-data; boundary=\"--x y\"";

std::string field(const std::string& disposition, const std::string& content) {
  return "----x y\r\nContent-Type: a/b\r\nContent-Disposition: form-data; " +
         disposition + "\r\n\r\n" + content + "\r\n";
}
const std::string kEnd = "----x y--\r\n";

TEST(Multipart, FieldsAndFilesWithAnyBytes) {
  const std::string bytes("\r\n--x\r\n\0----x", 14);
  const std::string body = field("name=\"to\"", "nuke") +
                           field("name=\"file\"; filename=\"a;b \\\"c\\\".nk\"", bytes) +
                           kEnd;
  const auto parts = parse_multipart(kType, body);
  ASSERT_TRUE(parts) << parts.error();
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ(find_part(*parts, "to")->content, "nuke");
  EXPECT_FALSE(find_part(*parts, "to")->filename);
  EXPECT_EQ(find_part(*parts, "file")->content, bytes);
  EXPECT_EQ(*find_part(*parts, "file")->filename, "a;b \"c\".nk");
  EXPECT_EQ(find_part(*parts, "none"), nullptr);
}

TEST(Multipart, EveryCutIsRefused) {
  const std::string body = field("name=\"to\"", "nuke") + kEnd;
  for (std::size_t at = 0; at + 4 < body.size(); ++at) {
    EXPECT_FALSE(parse_multipart(kType, body.substr(0, at))) << at;
  }
  EXPECT_FALSE(parse_multipart("multipart/form-data", body));
  EXPECT_FALSE(parse_multipart("multipart/form-data; boundary=", body));
  EXPECT_FALSE(parse_multipart("text/plain; boundary=\"--x y\"", body));
  EXPECT_FALSE(parse_multipart(kType, field("nome=\"to\"", "") + kEnd));
  std::string many;
  for (std::size_t i = 0; i <= kMaxParts; ++i) many += field("name=\"to\"", "");
  EXPECT_EQ(parse_multipart(kType, many + kEnd).error(), "The form has too many fields.");
}

TEST(Multipart, ANameIsNoPath) {
  EXPECT_EQ(display_name("../../etc/passwd"), "passwd");
  EXPECT_EQ(display_name("C:\\shots\\pan.nk"), "pan.nk");
  EXPECT_EQ(display_name(".."), "file");
  EXPECT_EQ(display_name("a\r\nb\"<i>.nk"), "a__b__i_.nk");
  EXPECT_EQ(display_name(std::string(99, 'a') + "ü.nk").size(), 99U);
}

TEST(Multipart, ANameIsUtf8AndIsReadInOneDirection) {
  EXPECT_EQ(display_name("\xff.nk"), "_.nk");
  EXPECT_EQ(display_name("a\xc3"), "a_");
  EXPECT_EQ(display_name("\xc0\xaf\xed\xa0\x80.nk"), "_____.nk");  // overlong, surrogate
  EXPECT_EQ(display_name("\xf4\x90\x80\x80"), "____");             // past the last
  EXPECT_EQ(display_name("ü€😀.nk"), "ü€😀.nk");
  EXPECT_EQ(display_name("a\u202egpj.nk"), "a_gpj.nk");
  EXPECT_EQ(display_name("\u2066a\u2069\u200f\u0085.nk"), "_a___.nk");
  EXPECT_EQ(display_name(std::string(98, 'a') + "😀😀").size(), 98U);
}

TEST(Mail, AHeaderStaysOneLineOfAscii) {
  EXPECT_EQ(encoded_header("Not converted: a\r\nBcc: b"), "Not converted: a  Bcc: b");
  EXPECT_EQ(encoded_header("über"), "=?utf-8?B?w7xiZXI=?=");
  for (const char c :
       encoded_header(std::string(70, 'a') + "üüüüüüüüüüüüüüüüüüüüüüüüüü")) {
    EXPECT_TRUE(c >= 0x20 && c < 0x7f);
  }
}

TEST(Mail, ItsLinesEndWithCrAndLf) {
  EXPECT_EQ(with_crlf("a\n\nb\r\nc"), "a\r\n\r\nb\r\nc");
}

TEST(Standing, WhatTheEngineSaysOfItselfIsNotForVisitors) {
  const auto message = [](carrel::OutcomeClass klass) {
    carrel::Outcome outcome;
    outcome.klass = klass;
    outcome.error.message = "the lease of worker vm:1 ended";
    return ended(outcome, carrel::State::kDiscarded, 60).message;
  };
  using enum carrel::OutcomeClass;
  for (const auto klass : {kCrashed, kWorkerLost, kProtocolError, kWallTimeout,
                           kSpawnError, kMemoryLimit, kResourceError}) {
    EXPECT_EQ(message(klass).find("worker vm"), std::string::npos);
    EXPECT_NE(message(klass), "");
  }
  EXPECT_EQ(message(kWorkerLost).find("The conversion was interrupted"), 0U);
  EXPECT_EQ(message(kDiscarded), "the lease of worker vm:1 ended");  // the handler's own
}

TEST(Pages, WhatCameFromOutsideIsEscaped) {
  Desk::Found found;
  found.conversion.name = "<script>alert(1)</script>";
  found.conversion.to = "nuke";
  found.standing.state = "failed";
  found.standing.message = "Line 1: \"><img src=x>";
  const std::string page = conversion_page("0", found, true);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert"), std::string::npos);
  EXPECT_EQ(problem_page("<b>").find("<b>"), std::string::npos);
}

TEST(Hosts, TheAddressLoopbackAndTheNamesAreKnownInAnyCase) {
  const Hosts hosts(ip::make_address("10.0.0.7"), 8080, {"Convert.example.org"});
  for (const char* name : {"10.0.0.7:8080", "127.0.0.1:8080", "[::1]:8080",
                           "LocalHost:8080", "convert.EXAMPLE.org"}) {
    EXPECT_TRUE(hosts.know(name)) << name;
  }
  for (const char* name : {"", "10.0.0.8:8080", "127.0.0.1", "127.0.0.1:80",
                           "evil.example:8080", "10.0.0.7:8080.evil.example"}) {
    EXPECT_FALSE(hosts.know(name)) << name;
  }
  EXPECT_EQ(hosts.url(), "http://10.0.0.7:8080/");
}

TEST(Hosts, BrowsersLeaveOutPort80) {
  const Hosts hosts(ip::make_address("127.0.0.1"), 80);
  for (const char* name : {"127.0.0.1", "127.0.0.1:80", "localhost", "[::1]"}) {
    EXPECT_TRUE(hosts.know(name)) << name;
  }
  EXPECT_FALSE(hosts.know("evil.example"));
  EXPECT_EQ(hosts.url(), "http://127.0.0.1/");
}

TEST(Hosts, WhereItListensAtEveryAddressEachNumberIsKnown) {
  for (const char* any : {"0.0.0.0", "::"}) {
    const Hosts hosts(ip::make_address(any), 8080);
    for (const char* name : {"127.0.0.1:8080", "192.168.1.2:8080", "[fe80::1]:8080"}) {
      EXPECT_TRUE(hosts.know(name)) << name;
    }
    for (const char* name : {"evil.example:8080", "1.2.3.4.evil.example:8080", ":8080",
                             "[evil]:8080", "192.168.1.2:80"}) {
      EXPECT_FALSE(hosts.know(name)) << name;
    }
  }
  EXPECT_EQ(Hosts(ip::make_address("0.0.0.0"), 1).url(), "http://127.0.0.1:1/");
  EXPECT_EQ(Hosts(ip::make_address("::1"), 8080).url(), "http://[::1]:8080/");
}

class SiteTest : public testing::Test {
 protected:
  SiteTest() {
    std::ignore = engine_.handle<ConversionJob>(
        "convert", [](carrel::Context& context, const ConversionJob& job) {
          return run_conversion(context, job);
        });
  }
  Answer post(const std::string& path, const std::string& body,
              const std::string& origin = "http://127.0.0.1:1",
              const std::string& site = "same-origin") {
    return site_.answer({"POST", path, "127.0.0.1:1", origin, site, kType, body});
  }
  Answer get(const std::string& path, const std::string& host = "127.0.0.1:1") {
    return site_.answer({"GET", path, host, "", "", "", ""});
  }
  static std::string form(const std::string& content, const std::string& to = "nuke") {
    return field("name=\"file\"; filename=\"pan.txt\"", content) +
           field("name=\"to\"", to) + kEnd;
  }
  std::size_t files() {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }

  trial::Folder folder_{"carrel-site-test"};
  carrel::Engine engine_ = inline_engine();
  // Of what is not over the store is asked at each look.
  Desk desk_{{folder_.path(), "", 60, 3, std::chrono::hours(1), 0, "", 0ms}, engine_};
  Site site_{desk_, kHosts, false, 1 << 20};
};

TEST_F(SiteTest, ConvertsAndAnswersWithPageStatusAndResult) {
  const Answer sent = post("/convert", form("TrackName a\n1 2 3 1\n"));
  ASSERT_EQ(sent.status, 303U);
  const std::string path = sent.headers.at(0).second;
  EXPECT_EQ(path.size(), 35U);
  EXPECT_NE(get(path).body.find("1 track with 1 point, frames 1 to 1"),
            std::string::npos);
  const auto status = carrel::Json::parse(get(path + "/status").body);
  EXPECT_EQ(status["state"], "done");
  EXPECT_EQ(status["percent"], 100);
  const Answer result = get(path + "/result");
  EXPECT_NE(result.body.find("\"a\" {curve x1 2.000000}"), std::string::npos);
  EXPECT_EQ(result.headers.at(0).second,
            "attachment; filename=\"pan.nk\"; filename*=UTF-8''pan.nk");
  EXPECT_EQ(get(path + "/events").events_of, path.substr(3));
}

TEST_F(SiteTest, AFormOfAnotherSiteAndAnotherNameOfThisHostAreRefused) {
  const std::string body = form("TrackName a\n1 2 3 1\n");
  EXPECT_EQ(post("/convert", body, "http://evil.example").status, 403U);
  EXPECT_EQ(post("/convert", body, "null").status, 403U);
  EXPECT_EQ(post("/convert", body, "", "cross-site").status, 403U);
  EXPECT_EQ(get("/", "evil.example:1").status, 403U);
  EXPECT_EQ(files(), 0U);
  EXPECT_EQ(post("/convert", body, "", "").status, 303U);  // no browser
}

TEST_F(SiteTest, WhatIsNoConversionIsNotFoundWhateverThePath) {
  for (const char* path : {"/c/", "/c/../../etc/passwd", "/c/%2e%2e/x", "/c/0", "/../x",
                           "/c/00000000000000000000000000000000", "/samples/../main.cc",
                           "/samples/", "/style.css/"}) {
    EXPECT_EQ(get(path).status, 404U) << path;
  }
  EXPECT_EQ(get("/samples/pan.nk").status, 200U);
  EXPECT_EQ(get("/style.css").status, 200U);
}

TEST_F(SiteTest, FormsWithWrongFieldsAreRefusedWithASentence) {
  EXPECT_EQ(post("/convert", form("x", "word")).status, 400U);
  EXPECT_EQ(post("/convert", field("name=\"to\"", "nuke") + kEnd).status, 400U);
  EXPECT_EQ(post("/convert", field("name=\"width\"", "0") + form("x")).status, 400U);
  EXPECT_EQ(post("/convert", field("name=\"shift\"", "1e9") + form("x")).status, 400U);
  EXPECT_EQ(post("/convert", form(std::string((1 << 20) + 1, 'x'))).status, 413U);
  const Answer refused = post("/", "");
  EXPECT_EQ(refused.status, 405U);
  EXPECT_EQ(refused.headers.at(0),
            std::make_pair(std::string("Allow"), std::string("GET, HEAD")));
  EXPECT_EQ(files(), 0U);
}

TEST_F(SiteTest, WhereNoMoreFitTheOldestThatIsFinishedGoes) {
  std::vector<std::string> paths;
  for (int i = 0; i < 4; ++i) {
    const Answer sent = post("/convert", form("x"));
    ASSERT_EQ(sent.status, 303U);
    paths.push_back(sent.headers.at(0).second);
  }
  EXPECT_EQ(files(), 3U);
  EXPECT_EQ(get(paths[0]).status, 404U);
  for (int i = 1; i < 4; ++i) EXPECT_EQ(get(paths[i]).status, 200U) << i;
}

TEST_F(SiteTest, WhereAllThatAreKeptStillWaitNoMoreAreTaken) {
  ASSERT_TRUE(engine_.pause("default"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(post("/convert", form("x")).status, 303U);
  EXPECT_EQ(post("/convert", form("x")).status, 503U);
  EXPECT_EQ(files(), 3U);
}

TEST_F(SiteTest, AFileWhoseNameIsNoUtf8IsConverted) {
  const Answer sent = post("/convert", field("name=\"file\"; filename=\"\xff.nk\"", "x") +
                                           field("name=\"to\"", "nuke") + kEnd);
  ASSERT_EQ(sent.status, 303U);
  EXPECT_NE(get(sent.headers.at(0).second).body.find("_.nk"), std::string::npos);
}

TEST_F(SiteTest, AnEndThatNoHookTellsOfIsSeen) {
  ASSERT_TRUE(engine_.pause("default"));
  const std::string path = post("/convert", form("x")).headers.at(0).second;
  EXPECT_EQ(carrel::Json::parse(get(path + "/status").body)["state"], "waiting");
  bool rung = false;
  const auto watching = desk_.watch(path.substr(3), [&] { rung = true; });
  ASSERT_TRUE(engine_.cancel(carrel::JobId{1}));  // as `carrel cancel` does
  const auto now = carrel::Json::parse(get(path + "/status").body);
  EXPECT_EQ(now["state"], "cancelled");
  EXPECT_EQ(now["message"], "This conversion was stopped.");
  EXPECT_TRUE(rung) << "who watches is told";
}

TEST_F(SiteTest, WhatThrowsInsideIsAnAnswer) {
  carrel::Engine engine = inline_engine();
  std::ignore = engine.handle<ConversionJob>(
      "convert",
      [](carrel::Context&, const ConversionJob&) -> carrel::Result<carrel::Json> {
        return carrel::Json{{"notes", {5}}};  // which no page can show
      });
  Desk desk{{folder_.path(), "", 60, 3, std::chrono::hours(1), 0, ""}, engine};
  Site site{desk, kHosts, false, 1 << 20};
  const Answer sent =
      site.answer({"POST", "/convert", "127.0.0.1:1", "", "", kType, form("x")});
  ASSERT_EQ(sent.status, 303U);
  EXPECT_EQ(site.answer({"GET", sent.headers.at(0).second, "127.0.0.1:1", "", "", "", ""})
                .status,
            500U);
}

TEST_F(SiteTest, WhatCannotBeAddedLeavesNothing) {
  Conversion conversion;
  conversion.to = "nuke";
  conversion.name = "\xff";  // the folder's note of it cannot be written as JSON
  for (int i = 0; i < 4; ++i) EXPECT_ANY_THROW(std::ignore = desk_.add(conversion, "x"));
  EXPECT_EQ(files(), 0U);
  EXPECT_EQ(post("/convert", form("x")).status, 303U);
}

}  // namespace
}  // namespace convert_web
