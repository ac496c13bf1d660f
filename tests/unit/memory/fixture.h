// A memory store under a clock in the test's hand.
#pragma once

#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace carrel::memory {

using namespace std::chrono_literals;

inline const std::vector<std::string> kWork = {"work"};  // the kinds of most cases

class HandClock final : public Clock {
 public:
  Time now() const noexcept override { return now_; }
  Time now_{};  // starts at the epoch: no instant may be taken to mean "none"
};

class StoreTest : public testing::Test {
 protected:
  void open(const Retention& keep = {}) {
    BackendOptions options;
    options.clock = &clock_;
    options.retention = keep;
    store_ = make_memory_store(options);
    source_ = store_->claim_source();
  }
  void SetUp() override { open(); }

  static NewJob job(std::string kind = "work") {
    NewJob made;
    made.kind = std::move(kind);
    made.payload = "{}";
    return made;
  }
  JobId insert(const NewJob& made) {
    return store_->insert({&made, 1}, 1s)[0].value().id;
  }
  std::vector<Claimed> claim(std::size_t max = 1,
                             std::vector<std::string> kinds = {"work"}) {
    return source_->claim({{}, kinds, max}, "w", ++number_, 30s, 0s).value();
  }
  Finished finish(const Claimed& run, Verdict verdict = Verdict::kCompleted) {
    Finish end;
    end.lease = run.lease;
    end.verdict = verdict;
    return store_->finish({&end, 1})[0].value();
  }
  JobId insert_and_finish(Verdict verdict = Verdict::kCompleted) {
    const JobId id = insert(job());
    finish(claim().at(0), verdict);
    return id;
  }
  bool exists(JobId id) { return store_->monitor().job(id).has_value(); }
  std::size_t rows() {
    std::size_t sum = 0;
    const auto counts = store_->monitor().counts().value();
    for (const auto n : counts.total) sum += n;
    return sum;
  }

  HandClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ClaimSource> source_;
  std::uint64_t number_ = 0;
};

}  // namespace carrel::memory
