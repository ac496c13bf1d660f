// What every case of the store suite stands on: a fresh store, a clock in its hand, and
// short names for the calls that all of them make.
#pragma once

#include <carrel/conformance/manual_clock.h>
#include <carrel/conformance/store.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cases.h"

namespace carrel::conformance {

using namespace std::chrono_literals;

inline constexpr Duration kLease = 30s;
inline constexpr Duration kPatience = 60s;  // of a call that must succeed
inline constexpr std::string_view kWorker = "worker-1";

class StoreCase : public testing::Test {
 public:
  explicit StoreCase(StoreHarness harness) : harness_(std::move(harness)) {}

  void SetUp() override;

  Store& store() { return *store_; }
  const StoreHarness& harness() const { return harness_; }
  StoreTraits traits() { return store_->traits(); }
  BackendOptions& options() { return options_; }

  // Begins again, empty, with options() as they are now.
  void create_again();
  // Closes the store and opens it again on the same data.
  void reopen();
  // A second handle on the same data, as another process would have.
  std::unique_ptr<Store> beside();

  void advance(Duration by);
  // By how much an instant may be off: 0 where the test holds the clock.
  Duration slack() const { return harness_.advance ? Duration(30s) : Duration{0}; }

  // A job of kind "work" in queue "default".
  static NewJob job(std::string payload = "{}");
  JobId insert(const NewJob& job);
  std::vector<JobId> insert_many(std::size_t n, const NewJob& like = job());
  static Ticket ticket(JobId id, std::string queue = "default",
                       std::string kind = "work");

  // Claims one by one under claim numbers that rise.
  Result<std::vector<ClaimAnswer>> try_claim(const std::vector<JobId>& ids,
                                             std::string_view worker = kWorker,
                                             Duration lease = kLease);
  ClaimAnswer claim_answer(JobId id, std::string_view worker = kWorker,
                           Duration lease = kLease);
  Claimed claim(JobId id, std::string_view worker = kWorker, Duration lease = kLease);
  Claimed insert_and_claim(const NewJob& job = StoreCase::job());
  std::uint64_t last_claim_number() const { return claim_number_; }

  static Finish finish_of(const Lease& lease, Verdict verdict = Verdict::kCompleted,
                          Duration retry_in = Duration{0});
  Finished finish(const Finish& finish);
  Finished finish(const Claimed& run, Verdict verdict = Verdict::kCompleted,
                  Duration retry_in = Duration{0});
  // settled_claim 0: frees nothing that is not named.
  Pulse beat(const Lease& lease, bool renew = false, Duration length = kLease);
  Cancelled cancel(JobId id);
  Swept sweep(std::size_t max = 1000);
  // Sweeps until nothing more is done; the sum of it.
  Swept sweep_all();
  std::vector<Ticket> peek(std::size_t max = 1000,
                           const std::vector<std::string>& kinds = {"work"},
                           const std::vector<std::string>& queues = {});
  void pause(std::string_view queue);
  std::vector<Ticket> resume(std::string_view queue);

  JobRecord record(JobId id);
  State state(JobId id) { return record(id).state; }
  bool gone(JobId id);  // never was, or purged

 protected:
  void TestBody() override {}

 private:
  StoreHarness harness_;
  ManualClock clock_;
  BackendOptions options_;
  std::unique_ptr<Store> store_;
  std::uint64_t claim_number_ = 0;
};

using StoreCases = Cases<StoreCase, StoreHarness>;

std::vector<JobId> ids_of(const std::vector<Ticket>& tickets);

// One a topic, each in a file of its own name.
void add_insert_cases(StoreCases& cases);
void add_claim_cases(StoreCases& cases);
void add_source_cases(StoreCases& cases);
void add_beat_cases(StoreCases& cases);
void add_finish_cases(StoreCases& cases);
void add_history_cases(StoreCases& cases);
void add_operator_cases(StoreCases& cases);
void add_sweep_cases(StoreCases& cases);
void add_pause_cases(StoreCases& cases);
void add_limit_cases(StoreCases& cases);
void add_place_cases(StoreCases& cases);
void add_unique_cases(StoreCases& cases);
void add_await_cases(StoreCases& cases);
void add_monitor_cases(StoreCases& cases);
void add_durability_cases(StoreCases& cases);
void add_concurrency_cases(StoreCases& cases);

// Runs body(i) on n threads that begin together.
void together(int n, const std::function<void(int)>& body);

}  // namespace carrel::conformance
