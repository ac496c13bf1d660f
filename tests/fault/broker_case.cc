#include "broker_case.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

namespace carrel::fault {

using std::chrono::milliseconds;

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoul(text) : otherwise;
}

BrokerCase::BrokerCase(std::size_t jobs)
    : jobs_(from_environment("FAULT_JOBS", jobs)),
      seed_(from_environment("FAULT_SEED", std::random_device{}() % 1'000'000)),
      random_(static_cast<unsigned>(seed_)) {
  std::cout << "seed " << seed_ << "\n";
}

void BrokerCase::listen_on(const std::string& endpoint, const std::string& url,
                           const std::string& more) const {
  std::ofstream(folder_.path() / "store") << url << "\n";
  std::ofstream(folder_.path() / "broker.toml")
      << "listen = [\"" << endpoint << "\"]\nstore = \"sqlite:jobs.db\"\n"
      << more << "[log]\nlevel = \"error\"\n";
}

milliseconds BrokerCase::some(milliseconds least, milliseconds most) {
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(
      least.count(), most.count())(random_));
}

Child BrokerCase::broker() const {
  return Child(placed(
      Who::kBroker, 0,
      {BROKER_PROGRAM, "serve", "--config", (folder_.path() / "broker.toml").string()}));
}

Child BrokerCase::worker(std::size_t number) const {
  Child child(placed(
      Who::kWorker, number,
      {FAULT_WORKER, folder_.path().string(), std::to_string(kLease.count()), "6"}));
  EXPECT_EQ(child.wait_line(), "READY") << "a worker did not start";
  return child;
}

Child BrokerCase::producer() const { return Child(placed(Who::kProducer, 0, chunk_)); }

void BrokerCase::produce() {
  finish_producer();
  if (HasFatalFailure() || next_chunk_ == kChunks) return;
  chunk_ = {FAULT_PRODUCER, folder_.path().string(),
            std::to_string(jobs_ * next_chunk_ / kChunks),
            std::to_string(jobs_ * (next_chunk_ + 1) / kChunks)};
  ++next_chunk_;
  producer_.emplace(producer());
}

void BrokerCase::finish_producer() {
  while (producer_) {
    const auto status = producer_->wait_end(120s);
    ASSERT_TRUE(status) << "a producer hangs";
    producer_.reset();
    if (WIFSIGNALED(*status)) {
      producer_.emplace(producer());
    } else {
      ASSERT_EQ(WEXITSTATUS(*status), 0) << "a producer failed";
    }
  }
}

void BrokerCase::expect_all_final(Store& store) const {
  std::uint64_t left = ~std::uint64_t{0};
  auto patience = std::chrono::steady_clock::now() + 60s;
  for (;;) {
    const auto counts = store.monitor().counts();
    std::uint64_t now = counts ? 0 : left;
    for (std::size_t s = 0; counts && s < kStateCount; ++s) {
      if (!is_final(static_cast<State>(s))) now += counts->total[s];
    }
    if (now == 0) return;
    if (now < left) patience = std::chrono::steady_clock::now() + 60s;
    left = std::min(now, left);
    ASSERT_LT(std::chrono::steady_clock::now(), patience)
        << "the workers rest, and " << left << " jobs are not final";
    std::this_thread::sleep_for(50ms);
  }
}

void BrokerCase::expect_nothing_lost(conformance::CheckReport& report) {
  while (next_chunk_ < kChunks) ASSERT_NO_FATAL_FAILURE(produce());
  ASSERT_NO_FATAL_FAILURE(finish_producer());
  const auto store =
      or_die(open_store("sqlite:" + (folder_.path() / "jobs.db").string()), "open");
  ASSERT_NO_FATAL_FAILURE(expect_all_final(*store));
  for (Child& w : workers_) {
    w.end_input();
    const auto status = w.wait_end(60s);
    ASSERT_TRUE(status && WIFEXITED(*status)) << "a worker does not stop";
    EXPECT_EQ(WEXITSTATUS(*status), 0);
  }
  broker_->signal(SIGTERM);
  const auto status = broker_->wait_end(60s);
  ASSERT_TRUE(status && WIFEXITED(*status)) << "the broker does not stop";

  const auto checked = conformance::check(*store, events_of(Place{folder_.path()}));
  ASSERT_TRUE(checked) << checked.error().message;
  report = *checked;
  std::cout << conformance::to_string(report);
  EXPECT_TRUE(report.broken.empty());
  EXPECT_EQ(report.acknowledged, jobs_);
  EXPECT_EQ(report.completed - report.unnamed + report.met, jobs_);
}

}  // namespace carrel::fault
