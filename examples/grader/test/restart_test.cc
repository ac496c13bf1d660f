// The daemon through a bad night of its database: restarted at once, its connections
// ended by the server, cut by the network, and left hanging. No grade may be lost or be
// another.
#include <carrel/engine.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <trial/scratch.h>

#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "fault/child.h"
#include "grade.h"
#include "handler.h"
#include "servers/program.h"
#include "servers/proxy.h"
#include "submission.h"

namespace grader {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using carrel::fault::Child;
using carrel::test::Proxy;
using std::chrono::steady_clock;

constexpr auto kPatience = 120s;

// All that ends by itself and harms nobody, with the verdict that it should have.
std::vector<Listed> short_ones() {
  std::vector<Listed> out;
  const auto listed = read_manifest(fs::path(GRADER_FILES) / "submissions").value();
  for (const Listed& one : listed) {
    if (!one.hostile() && one.verdict != "TLE") out.push_back(one);
  }
  return out;
}

// Grades through one database, reached by the daemon through a line that can be cut.
class Night {
 public:
  Night(const std::string& direct, const std::function<std::string(int)>& through,
        int port)
      : line_(port), folder_("carrel-night") {
    {
      std::ofstream out(folder_.path() / "grader.toml");
      out << "store = \"" << through(line_.port()) << "\"\n[worker]\nlease = \"5s\"\n"
          << "[log]\nlevel = \"error\"\n[jobs.grade]\nqueue = \"pull\"\n"
          << "retry = { base = \"100ms\", power = 0 }\n";
    }
    daemon_.emplace(
        Child({GRADER_PROGRAM, "--files", GRADER_FILES, "serve", "--config",
               (folder_.path() / "grader.toml").string(), "--instances", "4"}));
    carrel::Config config;
    config.store = direct;
    config.role = carrel::Role::kProducer;
    config.log.level = carrel::LogLevel::kOff;
    site_.emplace(carrel::Engine::open(std::move(config)).value());
  }

  Proxy& line() { return line_; }
  Child& daemon() { return *daemon_; }

  // Until it is stored, as a site does whose student waits: the same request id again
  // makes no second job.
  void hand_in(const Listed& one, const char* queue) {
    const std::string request = "night-" + std::to_string(++handed_in_);
    const auto deadline = steady_clock::now() + kPatience;
    for (;;) {
      const auto id = site_->enqueue("grade", one.submission,
                                     {.queue = queue, .request_id = request});
      if (id) {
        right_[*id] = one.verdict;
        return;
      }
      ASSERT_EQ(id.error().code, carrel::Code::kUnavailable) << id.error().message;
      ASSERT_LT(steady_clock::now(), deadline) << id.error().message;
    }
  }

  std::size_t ended() {
    const auto health = site_->health();
    if (!health) return 0;  // the database is away
    std::size_t count = 0;
    for (const auto state : {carrel::State::kCompleted, carrel::State::kCancelled,
                             carrel::State::kDiscarded}) {
      count += health->counts.total[static_cast<std::size_t>(state)];
    }
    return count;
  }
  // Until so many grades have ended.
  ::testing::AssertionResult reach(std::size_t count) {
    const auto deadline = steady_clock::now() + kPatience;
    while (ended() < count) {
      if (daemon_->ended()) return ::testing::AssertionFailure() << "the daemon ended";
      if (steady_clock::now() > deadline) {
        return ::testing::AssertionFailure() << ended() << " of " << count << " ended";
      }
      std::this_thread::sleep_for(20ms);
    }
    return ::testing::AssertionSuccess();
  }

  // Every job is there, once, with its verdict.
  void check() {
    const auto jobs = site_->list({}, {}, 10'000);
    ASSERT_TRUE(jobs) << jobs.error().message;
    EXPECT_EQ(jobs->size(), right_.size());
    for (const auto& job : *jobs) {
      ASSERT_EQ(job.state, carrel::State::kCompleted) << carrel::Json(job).dump(2);
      const auto grade = carrel::Json::parse(job.result).get<Grade>();
      EXPECT_EQ(grade.verdict, right_[job.id]) << carrel::Json(job).dump(2);
    }
  }

 private:
  Proxy line_;
  trial::Folder folder_;
  std::optional<Child> daemon_;
  std::optional<carrel::Engine> site_;
  std::map<carrel::JobId, std::string> right_;
  std::size_t handed_in_ = 0;
};

struct Trouble {
  const char* what;
  std::function<void()> make;
};

void live_through(Night& night, const std::vector<Trouble>& troubles) {
  const auto listed = short_ones();
  std::size_t handed_in = 0, ended = 0;
  for (const Trouble& trouble : troubles) {
    SCOPED_TRACE(trouble.what);
    for (const Listed& one : listed) {
      night.hand_in(one, handed_in++ % 2 == 0 ? kPull : kPush);
    }
    // In the middle of the work.
    ASSERT_TRUE(night.reach(ended + 3));
    trouble.make();
    night.hand_in(listed[0], kPull);
    ++handed_in;
    ASSERT_TRUE(night.reach(handed_in));
    ended = handed_in;
  }
  night.check();
  night.daemon().signal(SIGTERM);
  const auto status = night.daemon().wait_end(60s);
  ASSERT_TRUE(status && WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 0);
}

template <class Server>
std::vector<Trouble> troubles_of(Server& server, Night& night, const std::string& signal,
                                 const std::function<void()>& end_connections) {
  return {{"the server is restarted, twice",
           [&server, signal] {
             for (int i = 0; i < 2; ++i) {
               server.stop(signal);
               server.start();
             }
           }},
          {"the server ends every connection", end_connections},
          {"the network cuts every connection", [&night] { night.line().cut(); }},
          {"connections hang, and nobody is told", [&night] {
             night.line().swallow();
             // Longer than a lease: another look finds them stale.
             std::this_thread::sleep_for(6s);
             night.line().pass();
           }}};
}

TEST(BadNight, OfPostgreSQL) {
  auto& server = carrel::test::postgres();
  Night night(
      server.url(), [&](int port) { return server.tcp_url(port); }, server.port());
  live_through(
      night, troubles_of(server, night, "QUIT", [&] {
        server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
            "pg_backend_pid() AND backend_type = 'client backend'");
      }));
}

TEST(BadNight, OfMariaDB) {
  auto& server = carrel::test::mariadb();
  Night night(
      server.url(), [&](int port) { return server.tcp_url(port); }, server.port());
  live_through(night, troubles_of(server, night, "KILL", [&] {
                 for (const auto& id :
                      server.run("SELECT id FROM information_schema.processlist WHERE "
                                 "user = 'carrel' AND id <> connection_id()")) {
                   server.run("KILL " + id);
                 }
               }));
}

}  // namespace
}  // namespace grader

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return carrel::test::run_server_tests(
      {carrel::test::PostgresServer::missing(), carrel::test::MariadbServer::missing()});
}
