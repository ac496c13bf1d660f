// What the cases about stores over database servers share: the servers, one of each kind,
// and short names for what all of them do.
#pragma once

#include <carrel/sql.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/soci.h>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/driver.h"
#include "servers/program.h"

namespace carrel::test {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

// What the cases need of either.
struct Kind {
  const char* name;
  std::function<std::string(int)> url;  // through a port
  std::function<int()> port;
  std::function<std::vector<std::string>(const std::string&)> run;
  std::function<void(const std::string&)> stop;
  std::function<void()> start;
  std::function<void()> clean;                              // no tables
  std::function<std::unique_ptr<soci::session>()> session;  // another program's
  const char* open_transactions;
  const char* dead_locks;        // so far
  const char* waiting_for_lock;  // their statements
};

void PrintTo(const Kind& kind, std::ostream* out);
inline bool is_postgresql(const Kind& kind) {
  return kind.name == std::string("postgresql");
}

Kind postgres_kind();
Kind mariadb_kind();

std::unique_ptr<sql::server::Driver> driver_of(const std::string& url);
Result<std::unique_ptr<Store>> open_store(const std::string& url,
                                          const BackendOptions& options = {});

inline const std::vector<std::string> kWork = {"work"};  // the kinds of most cases

// Puts a setting of the server back, for the tests that come after.
class AtEnd {
 public:
  AtEnd(const Kind& kind, std::string sql) : kind_(kind), sql_(std::move(sql)) {}
  ~AtEnd() { kind_.run(sql_); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  const Kind kind_;
  const std::string sql_;
};

class Server : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { kind().clean(); }

  const Kind& kind() const { return GetParam(); }
  std::string url(int port, const std::string& options = "") const {
    return kind().url(port) + options;
  }
  std::string url(const std::string& options = "") const {
    return url(kind().port(), options);
  }
  std::unique_ptr<Store> open(const std::string& text, const BackendOptions& o = {}) {
    auto store = open_store(text, o);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  static NewJob job(std::string payload = "{}") {
    NewJob job;
    job.kind = "work";
    job.payload = std::move(payload);
    return job;
  }
  static Result<Inserted> insert(Store& store, const NewJob& job = Server::job()) {
    return std::move(store.insert({&job, 1}, 60s).at(0));
  }
  static std::vector<JobId> insert_all(Store& store, const std::vector<NewJob>& jobs) {
    std::vector<JobId> ids;
    for (auto& answer : store.insert(jobs, 60s)) {
      EXPECT_TRUE(answer.has_value()) << answer.error().message;
      if (answer) ids.push_back(answer->id);
    }
    return ids;
  }
  std::vector<Claimed> claim(Store& store, std::size_t max) {
    auto runs = store.claim_source()->claim({{}, kWork, max}, "w", ++claims_, 30s, 0us);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? std::move(*runs) : std::vector<Claimed>{};
  }
  static std::vector<Finish> finishes(const std::vector<Claimed>& runs) {
    std::vector<Finish> all;
    for (const Claimed& run : runs) {
      Finish& finish = all.emplace_back();
      finish.lease = run.lease;
      finish.result = "\"done\"";
      finish.attempt = Attempt{};
    }
    return all;
  }
  // Asks again until it works; how long that took.
  template <class Ask>
  static SteadyClock::duration until_works(Ask ask) {
    const auto start = SteadyClock::now();
    for (;;) {
      const auto answer = ask();
      if (answer) break;
      EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
      if (SteadyClock::now() - start > 60s) {
        ADD_FAILURE() << "it never works again: " << answer.error().message;
        break;
      }
      std::this_thread::sleep_for(10ms);  // the caller's own back-off
    }
    return SteadyClock::now() - start;
  }
  // Until a statement of somebody's about that table waits for a lock.
  void until_it_waits_for(const std::string& table) const {
    for (const auto until = SteadyClock::now() + 60s; SteadyClock::now() < until;) {
      for (const std::string& statement : kind().run(kind().waiting_for_lock)) {
        if (statement.find(table) != std::string::npos) return;
      }
      // MariaDB looks again when nobody has asked for 100 ms.
      std::this_thread::sleep_for(150ms);
    }
    ADD_FAILURE() << "nobody waits for " << table;
  }
  static SteadyClock::duration until_it_works(Store& store) {
    return until_works([&] { return insert(store); });
  }

  std::uint64_t claims_ = 0;
};

}  // namespace carrel::test
