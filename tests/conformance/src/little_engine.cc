#include "little_engine.h"

#include <gtest/gtest.h>

#include "cases.h"

namespace carrel::conformance {

using namespace std::chrono_literals;

LittleEngine::LittleEngine(Store& store, Queue* queue, Options options, Work work)
    : store_(store),
      queue_(queue),
      options_(std::move(options)),
      work_(std::move(work)) {}

LittleEngine::~LittleEngine() { stop(); }

std::vector<JobId> LittleEngine::enqueue(std::span<const NewJob> jobs) {
  std::vector<JobId> ids;
  std::vector<Ticket> tickets;
  for (auto& answer : store_.insert(jobs, 60s)) {
    Inserted in = must(std::move(answer));
    ids.push_back(in.id);
    if (in.ticket) tickets.push_back(std::move(*in.ticket));
  }
  publish(tickets);
  return ids;
}

void LittleEngine::publish(std::span<const Ticket> tickets) {
  // What does not fit is found by a later peek.
  if (queue_ != nullptr) static_cast<void>(queue_->publish(tickets));
}

void LittleEngine::start() {
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this, i] { work(i); });
  }
}

void LittleEngine::stop() {
  stopping_ = true;
  threads_.clear();
}

bool LittleEngine::run_until(const std::function<bool()>& done) {
  if (threads_.empty()) start();
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    rounds_.wait(rounds_.load());
  }
  stop();
  return true;
}

Result<std::vector<Claimed>> LittleEngine::claim(ClaimSource* source,
                                                 const std::string& worker,
                                                 std::uint64_t number) {
  const bool in_order = options_.turn != nullptr;
  const auto queues = in_order ? options_.turn(number) : std::vector<std::string>{};
  const Demand demand{queues, options_.kinds, options_.at_once, in_order,
                      options_.bounds};
  if (source != nullptr)
    return source->claim(demand, worker, number, options_.lease, 2ms);
  if (queue_->backlog(demand) < options_.at_once) {
    if (const auto tickets = store_.peek({queues, options_.kinds, 64})) publish(*tickets);
  }
  const auto deliveries = must(queue_->receive(demand, 2ms));
  if (deliveries.empty()) return std::vector<Claimed>{};
  std::vector<Ticket> tickets;
  std::vector<std::uint64_t> receipts;
  for (const Queue::Delivery& d : deliveries) {
    tickets.push_back(d.ticket);
    receipts.push_back(d.receipt);
  }
  auto answers = store_.claim(tickets, worker, number, options_.lease);
  queue_->settle(receipts);
  if (!answers) return tl::unexpected<Error>(std::move(answers.error()));
  EXPECT_EQ(answers->size(), tickets.size());
  std::vector<Claimed> runs;
  for (ClaimAnswer& answer : *answers) {
    if (answer) runs.push_back(std::move(*answer));
  }
  return runs;
}

void LittleEngine::finish(const Finish& finish) {
  for (;;) {
    auto answers = store_.finish({&finish, 1});
    ASSERT_EQ(answers.size(), 1U);
    if (answers[0]) {
      const Finished& f = *answers[0];
      publish(f.freed);
      if (f.kind == Finished::Kind::kApplied) ++applied_;
      if (f.kind == Finished::Kind::kAlready) ++already_;
      if (f.kind == Finished::Kind::kStale) ++stale_;
      return;
    }
    ASSERT_EQ(answers[0].error().code, Code::kUnavailable) << answers[0].error().message;
    ++unavailable_;
  }
}

bool LittleEngine::run_all(std::span<const Claimed> runs) {
  for (const Claimed& run : runs) {
    const auto end = work_(run);
    if (!end) return false;
    finish(*end);
  }
  return true;
}

void LittleEngine::work(int number) {
  const std::string name = "little-" + std::to_string(number);
  const auto source = queue_ == nullptr ? store_.claim_source() : nullptr;
  std::string worker = name;
  int lives = 0;
  std::uint64_t claims = 0;
  while (!stopping_) {
    auto runs = claim(source.get(), worker, ++claims);
    if (runs) options_.on_claimed(runs->size());
    if (!runs) {
      EXPECT_EQ(runs.error().code, Code::kUnavailable) << runs.error().message;
      ++unavailable_;
    } else if (!run_all(*runs)) {
      worker = name + "." + std::to_string(++lives);
      claims = 0;
      continue;
    }
    // Every run of this worker is over, so whatever the store still holds for it came of
    // a claim whose answer was lost.
    auto pulses = store_.beat(worker, claims, {}, true, options_.lease);
    if (!pulses) {
      EXPECT_EQ(pulses.error().code, Code::kUnavailable) << pulses.error().message;
    }
    options_.between();
    if (const auto swept = store_.sweep(64)) publish(swept->due);
    ++rounds_;
    rounds_.notify_all();
  }
}

}  // namespace carrel::conformance
