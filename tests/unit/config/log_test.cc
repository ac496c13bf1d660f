#include "log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace carrel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Pair;

class Log : public testing::Test {
 protected:
  Log() {
    set_log_sink([this](LogLevel level, std::string_view line) {
      EXPECT_FALSE(inside_.exchange(true)) << "two lines at once";
      lines_.emplace_back(level, line);
      inside_ = false;
    });
  }
  ~Log() override {
    set_log_sink({});
    set_log_level(LogLevel::kInfo);
  }
  std::atomic<bool> inside_{false};
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

TEST_F(Log, TheHostsSinkHearsEachLine) {
  log(LogLevel::kWarn, "first");
  log_function()(LogLevel::kError, "second");
  EXPECT_THAT(lines_, ElementsAre(Pair(LogLevel::kWarn, "first"),
                                  Pair(LogLevel::kError, "second")));
}

TEST_F(Log, LinesBelowTheLevelGoNowhere) {
  log(LogLevel::kDebug, "hidden");
  set_log_level(LogLevel::kError);
  log(LogLevel::kWarn, "hidden");
  log(LogLevel::kError, "seen");
  set_log_level(LogLevel::kOff);
  log(LogLevel::kError, "hidden");
  log(LogLevel::kOff, "hidden");
  EXPECT_THAT(lines_, ElementsAre(Pair(LogLevel::kError, "seen")));
}

TEST_F(Log, ALineIsOneLine) {
  log(LogLevel::kInfo, "a\nb\x1b[31mc\x7f");
  EXPECT_THAT(lines_, ElementsAre(Pair(LogLevel::kInfo, "a b [31mc ")));
}

TEST_F(Log, ASinkThatThrowsLosesItsLineOnly) {
  set_log_sink([](LogLevel, std::string_view) { throw std::runtime_error("full"); });
  log(LogLevel::kError, "lost");
  set_log_sink({});
}

TEST_F(Log, ManyThreadsAreHeardOneAtATime) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 250; ++i) log(LogLevel::kInfo, "line");
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(lines_.size(), 1000u);
}

TEST(LogDefault, GoesToStandardErrorAsOneLine) {
  testing::internal::CaptureStderr();
  log(LogLevel::kWarn, "the {} store\nis away");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(
      text, MatchesRegex("[0-9-]+T[0-9:.]+ carrel warning: the \\{\\} store is away\n"));
}

}  // namespace
}  // namespace carrel
