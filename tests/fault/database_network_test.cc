// A worker behind a network that breaks on its way to a database server, with the
// time-outs that it has where nobody says others; and a server that is killed and started
// again.
#include <carrel/sql.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "database.h"
#include "folder.h"
#include "network_case.h"
#include "tcp_proxy.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;

// A call has 5 s, which is looked at every quarter of that, and to connect again has 3 s:
// 9.25 s in all, and some more on a machine that is busy.
constexpr auto kLongestCall = 12s;

class DatabaseNetwork : public testing::TestWithParam<const DatabaseKind*> {
 protected:
  void SetUp() override {
    if (const std::string missing = GetParam()->missing(); !missing.empty()) {
      GTEST_SKIP() << missing << " is not installed";
    }
    database_ = GetParam()->start({.folder = place_.path()});
  }
  static Registry registry() {
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    return registry;
  }

  Folder place_;
  std::unique_ptr<Database> database_;
};
INSTANTIATE_TEST_SUITE_P(Of, DatabaseNetwork, testing::Values(&kPostgresql, &kMariadb),
                         [](const auto& of) { return of.param->name; });

TEST_P(DatabaseNetwork, WorkGoesOnWhateverBreaks) {
  TcpProxy proxy(database_->port());
  NetworkCase network(database_->url(proxy.port()), registry());
  using Mode = TcpProxy::Mode;
  // One black hole is longer than a call may take.
  for (const auto& [fault, wait] : {std::pair(Mode::kCut, 2s),
                                    {Mode::kDelay, 2s},
                                    {Mode::kHalfOpen, 2s},
                                    {Mode::kBlackHole, 18s},
                                    {Mode::kBlackHole, 2s}}) {
    network.during([&] { proxy.set(fault); }, wait, [&] { proxy.set(Mode::kPass); });
  }
  network.expect_all(kLongestCall);
}

TEST_P(DatabaseNetwork, WorkGoesOnWhenAServerThatWasKilledIsBack) {
  NetworkCase network(database_->url(), registry());
  for (int i = 0; i < 3; ++i) {
    std::jthread restarts;
    network.during([&] { restarts = std::jthread([&] { database_->restart("KILL"); }); },
                   0s, [&] { restarts.join(); });
  }
  network.expect_all(kLongestCall);
}

}  // namespace
}  // namespace carrel::fault
