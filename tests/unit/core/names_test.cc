#include <carrel/job.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace carrel {
namespace {

// Every enumerator up to the last has a name of its own that reads back.
template <class E, class Parse>
void expect_names(E last, Parse parse) {
  std::set<std::string_view> seen;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto e = static_cast<E>(i);
    const std::string_view name = to_string(e);
    if (name == "unknown") {
      EXPECT_EQ(i, 0) << "only Code has no enumerator at 0";
      continue;
    }
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_EQ(parse(name), e) << name;
  }
  EXPECT_FALSE(parse("no such name"));
}

TEST(Names, ReadBack) {
  expect_names(Code::kDiscarded, parse_code);
  expect_names(State::kDiscarded, parse_state);
  expect_names(OutcomeClass::kResourceError, parse_outcome_class);
}

TEST(JobJson, AnAttemptReadsBack) {
  Attempt a;
  a.attempt = 3;
  a.fence = Fence{9};
  a.klass = OutcomeClass::kSignaled;
  a.message = "died";
  a.code = Code::kUnavailable;
  a.native = 5;
  a.exit_code = 2;
  a.signal = 11;
  a.usage = {Duration{10}, Duration{20}, 30};
  a.stderr_tail = "tail";
  a.rung = Rung::kTerm;
  a.leftover_killed = true;
  a.enforced = {"namespaces", "seccomp"};
  a.worker = "w1";
  a.started = Time(Duration{100});
  a.ended = Time(Duration{200});
  const Json j = a;
  const auto back = j.get<Attempt>();
  EXPECT_EQ(Json(back), j);
  EXPECT_EQ(back.signal, 11);
  EXPECT_EQ(back.ended, a.ended);
  EXPECT_EQ(back.code, Code::kUnavailable);
  EXPECT_EQ(j["rung"], "term");
  EXPECT_EQ(back.rung, Rung::kTerm);
  EXPECT_TRUE(back.leftover_killed);
  EXPECT_EQ(back.enforced, a.enforced);
}

TEST(JobJson, AnAttemptOfAnOlderVersionIsRead) {
  const auto a = Json{{"attempt", 1}, {"fence", 2}, {"class", "signaled"}}.get<Attempt>();
  EXPECT_EQ(a.rung, Rung::kNone);
  EXPECT_FALSE(a.leftover_killed);
  EXPECT_TRUE(a.enforced.empty());
  // What there was nothing to say of takes no room.
  const Json j = a;
  for (const char* name : {"rung", "leftover_killed", "enforced"}) {
    EXPECT_FALSE(j.contains(name)) << name;
  }
}

// Nothing is replaced in them.
TEST(JobJson, BytesThatAreNoTextAreKept) {
  JobRecord r;
  r.id = JobId{7};
  r.payload = std::string("\x89PNG\r\n\0", 7);
  r.result = R"({"n":1})";
  r.log = "\x80";
  const Json j = r;
  EXPECT_NO_THROW((void)j.dump());
  EXPECT_EQ(j["result"]["n"], 1);
  EXPECT_EQ(j["args"], (Json{{"base64", "iVBORw0KAA=="}}));
  r.result = "plain text";
  EXPECT_EQ(Json(r)["result"], "plain text");
}

}  // namespace
}  // namespace carrel
