// The kill test: one round of chaos on each database; and with jobs in processes of their
// own, none of which survives its host.
//
// FAULT_JOBS, FAULT_KILLS, FAULT_STOPS, FAULT_RESTARTS, FAULT_CUTS and FAULT_SEED in the
// environment make it longer, or the same again. `tests/run --soak` is the one for hours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "chaos.h"

namespace carrel::fault {
namespace {

struct StoreUnderTest {
  const DatabaseKind& kind;
  Amount amount;
  std::string isolation = "thread";

  std::string name() const {
    return kind.name + (isolation == "thread" ? "" : "_" + isolation);
  }
};
void PrintTo(const StoreUnderTest* store, std::ostream* out) { *out << store->name(); }

const StoreUnderTest kOnSqlite = {kSqlite, {20'000, 30, 25}};
const StoreUnderTest kOnPostgresql = {kPostgresql, {8'000, 20, 8, 4, 4}};
const StoreUnderTest kOnMariadb = {kMariadb, {5'000, 15, 6, 3, 4}};
const StoreUnderTest kForkOnSqlite = {kSqlite, {2'000, 15, 5}, "fork"};
const StoreUnderTest kExecOnSqlite = {kSqlite, {2'000, 15, 5}, "exec"};

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoul(text) : otherwise;
}

class KillTest : public testing::TestWithParam<const StoreUnderTest*> {};

TEST_P(KillTest, NothingIsLostAndNothingIsDoneTwice) {
  if (const std::string missing = GetParam()->kind.missing(); !missing.empty()) {
    GTEST_SKIP() << missing << " is not installed";
  }
  Amount amount = GetParam()->amount;
  amount.jobs = from_environment("FAULT_JOBS", amount.jobs);
  amount.kills = from_environment("FAULT_KILLS", amount.kills);
  amount.stops = from_environment("FAULT_STOPS", amount.stops);
  if (GetParam()->kind.has_server) {
    amount.restarts = from_environment("FAULT_RESTARTS", amount.restarts);
    amount.cuts = from_environment("FAULT_CUTS", amount.cuts);
  }
  const auto seed = static_cast<unsigned>(
      from_environment("FAULT_SEED", std::random_device{}() % 1'000'000));
  std::cout << "seed " << seed << std::endl;
  Chaos chaos(GetParam()->kind, {.isolation = GetParam()->isolation});
  const auto [report, host, faults, at_named_points, slowest_end] =
      chaos.round(amount, seed);
  std::cout << conformance::to_string(report) << host.enqueued << " enqueued and "
            << host.completed << " completed in a host's transactions\n"
            << at_named_points << " of " << faults << " faults at named points; "
            << slowest_end.count()
            << " ms at most from a worker's end to that of all of its processes\n";
  EXPECT_THAT(report.broken, testing::IsEmpty());
  EXPECT_EQ(report.acknowledged, amount.jobs);
  EXPECT_EQ(report.rows - report.unnamed + report.met, amount.jobs);
  if (GetParam()->isolation == "thread") {
    EXPECT_GT(report.acknowledged_unnamed, 0U);
    EXPECT_GE(report.unnamed, report.acknowledged_unnamed);
  }
  EXPECT_EQ(report.completed, report.rows);
  EXPECT_GT(report.limited, 0U);
  EXPECT_GT(report.rated, 0U);
  EXPECT_GT(report.unique, 0U);
  EXPECT_GT(report.met, 0U);
  EXPECT_GT(host.enqueued, 0U);
  if (GetParam()->isolation != "exec") {
    EXPECT_GT(host.completed, 0U);
  }
  if (amount.stops > 0) {
    EXPECT_GT(report.stale_finishes, 0U)
        << "a worker that slept past its lease must see it";
  }
  if (faults > 0) {
    EXPECT_GT(report.repeated, 0U) << "the faults should have met runs under way";
    EXPECT_GT(at_named_points, 0U);
  }
  EXPECT_THAT(chaos.database().unsound(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Stores, KillTest,
                         testing::Values(&kOnSqlite, &kOnPostgresql, &kOnMariadb,
                                         &kForkOnSqlite, &kExecOnSqlite),
                         [](const auto& store) { return store.param->name(); });

}  // namespace
}  // namespace carrel::fault
