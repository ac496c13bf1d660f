// Holds in several processes, on every store that processes can share: exclusion, waits,
// and holders and waiters that die by kill -9.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "child.h"
#include "folder.h"
#include "servers/mariadb.h"
#include "servers/postgres.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::chrono::milliseconds kLease = 1s;

// Where a store is, and what serves it.
class Shared {
 public:
  virtual ~Shared() = default;
  virtual std::string url() const = 0;
};

class File final : public Shared {
 public:
  std::string url() const override {
    return "sqlite:" + (folder_.path() / "jobs.db").string();
  }

 private:
  Folder folder_;
};

template <class S>
class Server final : public Shared {
 public:
  std::string url() const override { return server_.tcp_url(); }

 private:
  S server_;
};

#ifdef BROKER_PROGRAM
class Behind final : public Shared {
 public:
  Behind() {
    const std::string endpoint = "ipc://" + (folder_.path() / "broker").string();
    const auto config = folder_.path() / "broker.toml";
    std::ofstream(config) << "listen = [\"" << endpoint << "\"]\nstore = \"sqlite:"
                          << (folder_.path() / "jobs.db").string()
                          << "\"\n[log]\nlevel = \"error\"\n";
    broker_ = std::make_unique<Child>(
        std::vector<std::string>{BROKER_PROGRAM, "serve", "--config", config.string()});
    url_ = "zmq+" + endpoint;
  }
  std::string url() const override { return url_; }

 private:
  Folder folder_;
  std::unique_ptr<Child> broker_;
  std::string url_;
};
#endif

struct StoreKind {
  const char* name;
  std::string (*missing)();
  std::unique_ptr<Shared> (*start)();
};
void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

template <class S>
std::unique_ptr<Shared> start() {
  return std::make_unique<S>();
}
std::string nothing() { return {}; }

class HoldTest : public testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    if (const std::string missing = GetParam().missing(); !missing.empty()) {
      GTEST_SKIP() << missing << " is not installed";
    }
    shared_ = GetParam().start();
  }

  Child holder() {
    Child child({FAULT_HOLDER, shared_->url(), std::to_string(kLease.count())});
    EXPECT_EQ(child.wait_line(), "ready");
    return child;
  }
  static std::string ask(Child& child, const std::string& line) {
    child.tell(line);
    return child.wait_line();
  }
  Engine engine() {
    Config config;
    config.store = shared_->url();
    config.role = Role::kProducer;
    config.log.level = LogLevel::kOff;
    return or_die(Engine::open(config), "open");
  }
  static std::vector<JobRecord> holds(Engine& engine) {
    Filter filter;
    filter.queue = std::string(kHoldQueue);
    return or_die(engine.list(filter), "list");
  }

  std::unique_ptr<Shared> shared_;
};

TEST_P(HoldTest, OneProcessKeepsTheOthersOut) {
  Child first = holder();
  Child second = holder();
  ASSERT_EQ(ask(first, "hold k 1 60000"), "held");
  EXPECT_EQ(ask(second, "hold k 1 0"), "timeout");
  EXPECT_EQ(ask(second, "hold k 1 200"), "timeout");
  ASSERT_EQ(ask(second, "hold k 2 0"), "held") << "two may, if it asks for two";
  EXPECT_EQ(ask(second, "leave"), "left");
  ASSERT_EQ(ask(second, "hold other 1 0"), "held");
  EXPECT_EQ(ask(second, "leave"), "left");
  second.tell("hold k 1 60000");
  EXPECT_EQ(ask(first, "leave"), "left");
  EXPECT_EQ(second.wait_line(), "held") << "and comes in when the first has left";
  EXPECT_EQ(ask(second, "leave"), "left");
  Engine look = engine();
  for (const JobRecord& row : holds(look)) {
    EXPECT_TRUE(row.state == State::kCompleted || row.state == State::kCancelled)
        << to_string(row.state);
  }
}

TEST_P(HoldTest, ManyVisitsOfManyProcessesAreAlone) {
  const Folder folder;
  std::vector<Child> all;
  for (int i = 0; i < 3; ++i) all.push_back(holder());
  for (Child& child : all) {
    child.tell("visit k 1 20 " + (folder.path() / "room").string());
  }
  for (Child& child : all) EXPECT_EQ(child.wait_line(), "visited");
}

TEST_P(HoldTest, AKilledHolderIsForgottenWhenItsLeaseEndsAndNeverRunsAgain) {
  Child first = holder();
  Child second = holder();
  ASSERT_EQ(ask(first, "hold k 1 0"), "held");
  first.signal(SIGKILL);
  ASSERT_TRUE(first.wait_end(60s));
  EXPECT_EQ(ask(second, "hold k 1 0"), "timeout") << "its lease has not ended";
  ASSERT_EQ(ask(second, "hold k 1 60000"), "held");
  EXPECT_EQ(ask(second, "leave"), "left");
  Engine look = engine();
  const auto rows = holds(look);
  EXPECT_EQ(rows.back().state, State::kDiscarded);
  EXPECT_EQ(rows.back().attempt, 1);
  const auto again = look.retry(rows.back().id);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("was a hold"));
}

TEST_P(HoldTest, WhoIsKilledWhileItWaitsHoldsNobodyUp) {
  Child first = holder();
  Child second = holder();
  Child third = holder();
  ASSERT_EQ(ask(first, "hold k 1 0"), "held");
  ASSERT_EQ(ask(second, "wait k"), "waits");
  second.signal(SIGKILL);
  ASSERT_TRUE(second.wait_end(60s));
  EXPECT_EQ(ask(first, "leave"), "left");
  // A broker may have given the place to whom it did not yet know to be dead.
  const bool at_once = GetParam().name != std::string("zmq");
  EXPECT_EQ(ask(third, at_once ? "hold k 1 0" : "hold k 1 60000"), "held");
  EXPECT_EQ(ask(third, "leave"), "left");
}

TEST_P(HoldTest, AHolderThatWasStoppedBeyondItsLeaseHearsOfIt) {
  Child first = holder();
  Child second = holder();
  ASSERT_EQ(ask(first, "hold k 1 0"), "held");
  first.signal(SIGSTOP);
  ASSERT_EQ(ask(second, "hold k 1 60000"), "held");
  EXPECT_EQ(ask(second, "leave"), "left");
  first.signal(SIGCONT);
  EXPECT_EQ(ask(first, "leave"), "left stale");
}

INSTANTIATE_TEST_SUITE_P(
    Stores, HoldTest,
    testing::Values(StoreKind{"sqlite", nothing, start<File>},
                    StoreKind{"postgresql", test::PostgresServer::missing,
                              start<Server<test::PostgresServer>>},
                    StoreKind{"mariadb", test::MariadbServer::missing,
                              start<Server<test::MariadbServer>>}
#ifdef BROKER_PROGRAM
                    ,
                    StoreKind{"zmq", nothing, start<Behind>}
#endif
                    ),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace carrel::fault
