// An engine whose file is damaged, or brought forward by a newer program, while it works:
// what is done is kept, and stored when that is mended.
#include <carrel/engine.h>
#include <carrel/log.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;

constexpr std::streamoff kPage = 4096;

class FaultyFile : public testing::Test {
 protected:
  static constexpr int kJobs = 60;

  void SetUp() override {
    set_log_sink([this](LogLevel, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
      said_.notify_all();
    });
    Config config;
    config.store = "sqlite:" + file_;
    config.worker.concurrency = kJobs;
    config.log.level = LogLevel::kWarn;
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    engine_.emplace(Engine::open(config, registry).value());
    engine_->handle("work", [this](Context& job) -> Result<Json> {
      if (++running_ == kJobs) all_run_.set_value();
      go_.wait();
      return job.args().at("n");
    });
  }
  void TearDown() override {
    engine_.reset();
    set_log_sink({});
  }

  void enqueue() {
    for (int n = 0; n < kJobs; ++n) {
      const Json args = {{"n", n}, {"text", std::string(900, 'p')}};
      ids_.push_back(engine_->enqueue("work", args).value());
    }
  }
  void start_all() {
    enqueue();
    ASSERT_TRUE(engine_->start());
    all_run_.get_future().wait();
  }
  void wait_said(const std::string& text) {
    std::unique_lock lock(mutex_);
    const bool said = said_.wait_for(lock, 60s, [&] {
      return std::any_of(lines_.begin(), lines_.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
      });
    });
    EXPECT_TRUE(said) << text;
  }
  void expect_all_completed() {
    for (int n = 0; n < kJobs; ++n) {
      const auto result = engine_->wait(ids_[static_cast<std::size_t>(n)], 60s);
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_EQ(*result, n);
      EXPECT_EQ(engine_->job(ids_[static_cast<std::size_t>(n)])->attempt, 1);
    }
    EXPECT_EQ(running_, kJobs);
  }

  // Everybody's pages are read anew.
  void forget_pages() {
    run_sql(file_, "CREATE TABLE other (n); DROP TABLE other");
    run_sql(file_, "PRAGMA wal_checkpoint(TRUNCATE)");
  }
  // One page of the rows of jobs.
  void damage() {
    forget_pages();
    const auto pages = run_sql(file_,
                               "SELECT pageno FROM dbstat WHERE name = 'carrel_jobs'"
                               " AND pagetype = 'leaf' ORDER BY path");
    ASSERT_GT(pages.size(), 2U);
    place_ = (std::stol(pages[pages.size() / 2]) - 1) * kPage;
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(place_);
    whole_.resize(kPage);
    ASSERT_TRUE(file.read(whole_.data(), kPage));
    write(std::string(kPage, '\xee'));
  }
  void write(const std::string& page) {
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(place_);
    ASSERT_TRUE(file.write(page.data(), kPage));
    file.close();
    forget_pages();
  }
  void repair() { write(whole_); }

  const TemporaryDirectory folder_;
  const std::string file_ = folder_.file("jobs.db");
  std::mutex mutex_;
  std::condition_variable said_;
  std::vector<std::string> lines_;
  std::vector<JobId> ids_;
  std::atomic<int> running_{0};
  std::promise<void> all_run_;
  std::promise<void> ended_;
  std::shared_future<void> go_ = ended_.get_future().share();
  std::streamoff place_ = 0;
  std::string whole_;
  std::optional<Engine> engine_;
};

TEST_F(FaultyFile, WhatIsDoneWhileANewerProgramHasTheFileIsKept) {
  start_all();
  run_sql(file_,
          "CREATE TABLE newer (n); INSERT INTO carrel_schema VALUES (4711, 0, NULL)");
  ended_.set_value();
  wait_said("its end could not be stored yet");
  wait_said("version 4711");
  EXPECT_THAT(run_sql(file_, "SELECT COUNT(*) FROM carrel_jobs WHERE state = 3"),
              testing::ElementsAre(std::to_string(kJobs)));
  run_sql(file_, "DELETE FROM carrel_schema WHERE version = 4711; DROP TABLE newer");
  expect_all_completed();
}

TEST_F(FaultyFile, WhatWasNotStoredWhenItStopsIsSaid) {
  start_all();
  run_sql(file_,
          "CREATE TABLE newer (n); INSERT INTO carrel_schema VALUES (4711, 0, NULL)");
  ended_.set_value();
  wait_said("version 4711");
  const auto stopped = engine_->stop(100ms);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kUnavailable);
  EXPECT_THAT(stopped.error().message,
              testing::HasSubstr(std::to_string(kJobs) + " jobs have ended"));
  EXPECT_TRUE(engine_->stop(100ms));  // it is
  for (const JobId id : ids_) {
    const std::string line = "job " + std::to_string(value(id)) +
                             ": its end was not stored; it will run again";
    EXPECT_THAT(lines_, Contains(line));
  }
}

TEST_F(FaultyFile, ADamagedPageCostsNoResult) {
  start_all();
  damage();
  ended_.set_value();
  wait_said("its end could not be stored yet");
  wait_said("malformed");
  // Those that stand elsewhere: neither there nor beside it.
  std::size_t completed = 0;
  for (const auto end = std::chrono::steady_clock::now() + 60s;
       completed < kJobs / 2 && std::chrono::steady_clock::now() < end;) {
    completed =
        static_cast<std::size_t>(std::count_if(ids_.begin(), ids_.end(), [&](JobId id) {
          return engine_->wait(id, 10ms).has_value();
        }));
  }
  EXPECT_GE(completed, kJobs / 2);
  EXPECT_LT(completed, kJobs);
  repair();
  expect_all_completed();
}

TEST_F(FaultyFile, AClaimThatMeetsADamagedPageLosesNothing) {
  ended_.set_value();
  enqueue();
  damage();
  ASSERT_TRUE(engine_->start());
  wait_said("malformed");
  repair();
  expect_all_completed();
}

}  // namespace
}  // namespace carrel::test
