// What every case of the isolation suite stands on: an isolation with a reactor of its
// own, and sinks that remember what they heard.
#pragma once

#include <carrel/conformance/isolation.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cases.h"

namespace carrel {
class Reactor;
}

namespace carrel::conformance {

using namespace std::chrono_literals;

inline constexpr Duration kKept = 3h;  // of all kinds: KindSpec::kept

// Remembers one run, and what it must not have heard.
class Listener final : public RunSink {
 public:
  void on_start() noexcept override;
  void on_progress(float fraction, std::string_view message) noexcept override;
  void on_checkpoint(std::string_view bytes) noexcept override;
  void on_log(std::string_view line) noexcept override;
  void on_end(Outcome outcome) noexcept override;

  // Until the run has begun to speak, or ended; a minute at most.
  void wait_progress();
  // Until it ended; a failed case after a minute.
  Outcome wait_end();
  bool ended();
  // "progress 0.25 text", "log text", "checkpoint bytes", "end", in the order heard.
  std::vector<std::string> heard();
  std::vector<std::string> logs();
  // Every call so far came alone, and none after the only end.
  void expect_orderly();

 private:
  void note(std::string what);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> heard_;
  std::optional<Outcome> outcome_;
  int ends_ = 0;
  int after_end_ = 0;
  std::atomic<int> inside_{0};
  std::atomic<bool> overlapped_{false};
};

struct Started {
  std::shared_ptr<Listener> listener;
  std::shared_ptr<Run> run;  // null: it was refused
  std::optional<Error> refused;
};

class IsolationCase : public testing::Test {
 public:
  explicit IsolationCase(IsolationHarness harness);
  ~IsolationCase() override;

  void SetUp() override;
  void TearDown() override;

  Isolation& isolation() { return *isolation_; }
  IsolationTraits traits() { return isolation_->traits(); }
  // Skips, by naming the trait, are the caller's: false where the isolation runs none.
  bool programs() const { return harness_.entry.runs_programs; }

  // Starts a run of `kind` with `payload`.
  Started start(const std::string& kind, std::string payload = "", Limits limits = {},
                Claimed job = {});
  // … and waits for its end.
  Outcome run(const std::string& kind, std::string payload = "", Limits limits = {},
              Claimed job = {});
  // A run of another job still works.
  void expect_alive();

 protected:
  void TestBody() override {}

 private:
  IsolationHarness harness_;
  Handlers handlers_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Isolation> isolation_;
  std::uint64_t last_id_ = 0;
  std::vector<std::shared_ptr<Listener>> listeners_;
};

using IsolationCases = Cases<IsolationCase, IsolationHarness>;

// Ends one run of "conformance.gate", which waits for it in this process.
void open_gate();

// The programs of the suite, by kind: argument vectors.
std::map<std::string, std::vector<std::string>> conformance_programs();

void add_handler_cases(IsolationCases& cases);
void add_stop_cases(IsolationCases& cases);
void add_program_cases(IsolationCases& cases);

}  // namespace carrel::conformance
