#include "store_case.h"

#include <barrier>
#include <thread>

#include "store_queues.h"
#include "store_rates.h"

namespace carrel::conformance {

void StoreCase::SetUp() {
  options_.clock = &clock_;
  options_.poll = 20ms;
  create_again();
}

void StoreCase::create_again() {
  store_.reset();
  store_ = must(harness_.create(options_));
  ASSERT_NE(store_, nullptr) << harness_.name << " made no store";
}

void StoreCase::reopen() {
  store_.reset();
  store_ = must(harness_.reopen(options_));
  ASSERT_NE(store_, nullptr) << harness_.name << " did not open again";
}

std::unique_ptr<Store> StoreCase::beside() { return must(harness_.reopen(options_)); }

void StoreCase::advance(Duration by) {
  if (harness_.advance) {
    harness_.advance(by);
  } else {
    clock_.advance(by);
  }
}

NewJob StoreCase::job(std::string payload) {
  NewJob job;
  job.kind = "work";
  job.payload = std::move(payload);
  return job;
}

JobId StoreCase::insert(const NewJob& job) {
  auto answers = store_->insert({&job, 1}, kPatience);
  EXPECT_EQ(answers.size(), 1U);
  return answers.size() == 1 ? must(std::move(answers[0])).id : JobId{};
}

std::vector<JobId> StoreCase::insert_many(std::size_t n, const NewJob& like) {
  const std::vector<NewJob> jobs(n, like);
  std::vector<JobId> ids;
  for (auto& answer : store_->insert(jobs, kPatience)) {
    ids.push_back(must(std::move(answer)).id);
  }
  EXPECT_EQ(ids.size(), n);
  return ids;
}

Ticket StoreCase::ticket(JobId id, std::string queue, std::string kind) {
  return {id, std::move(queue), std::move(kind), 0};
}

Result<std::vector<ClaimAnswer>> StoreCase::try_claim(const std::vector<JobId>& ids,
                                                      std::string_view worker,
                                                      Duration lease) {
  std::vector<Ticket> tickets;
  tickets.reserve(ids.size());
  for (JobId id : ids) tickets.push_back(ticket(id));
  return store_->claim(tickets, worker, ++claim_number_, lease);
}

ClaimAnswer StoreCase::claim_answer(JobId id, std::string_view worker, Duration lease) {
  auto answers = must(try_claim({id}, worker, lease));
  EXPECT_EQ(answers.size(), 1U);
  if (answers.size() != 1) return tl::unexpected<Refusal>(Refusal::kGone);
  return std::move(answers[0]);
}

Claimed StoreCase::claim(JobId id, std::string_view worker, Duration lease) {
  auto answer = claim_answer(id, worker, lease);
  EXPECT_TRUE(answer.has_value())
      << "job " << value(id) << " was refused, reason "
      << static_cast<int>(answer ? Refusal{} : answer.error());
  return answer ? std::move(*answer) : Claimed{};
}

Claimed StoreCase::insert_and_claim(const NewJob& job) { return claim(insert(job)); }

Finish StoreCase::finish_of(const Lease& lease, Verdict verdict, Duration retry_in) {
  Finish finish;
  finish.lease = lease;
  finish.verdict = verdict;
  finish.retry_in = retry_in;
  return finish;
}

Finished StoreCase::finish(const Finish& finish) {
  auto answers = store_->finish({&finish, 1});
  EXPECT_EQ(answers.size(), 1U);
  return answers.size() == 1 ? must(std::move(answers[0])) : Finished{};
}

Finished StoreCase::finish(const Claimed& run, Verdict verdict, Duration retry_in) {
  return finish(finish_of(run.lease, verdict, retry_in));
}

Pulse StoreCase::beat(const Lease& lease, bool renew, Duration length) {
  Beat beat;
  beat.lease = lease;
  auto pulses = must(store_->beat(kWorker, 0, {&beat, 1}, renew, length));
  EXPECT_EQ(pulses.size(), 1U);
  return pulses.size() == 1 ? pulses[0] : Pulse::kStale;
}

Cancelled StoreCase::cancel(JobId id) {
  auto answers = must(store_->cancel({&id, 1}));
  EXPECT_EQ(answers.size(), 1U);
  return answers.size() == 1 ? answers[0] : Cancelled::kNotFound;
}

Swept StoreCase::sweep(std::size_t max) { return must(store_->sweep(max)); }

Swept StoreCase::sweep_all() {
  Swept sum;
  for (int round = 0; round < 10'000; ++round) {
    Swept one = sweep();
    sum.due.insert(sum.due.end(), one.due.begin(), one.due.end());
    sum.rescued += one.rescued;
    sum.discarded += one.discarded;
    sum.purged += one.purged;
    sum.next = one.next;
    if (one.due.empty() && one.rescued + one.discarded + one.purged == 0) return sum;
  }
  ADD_FAILURE() << "sweep never came to rest";
  return sum;
}

std::vector<Ticket> StoreCase::peek(std::size_t max,
                                    const std::vector<std::string>& kinds,
                                    const std::vector<std::string>& queues) {
  return must(store_->peek({queues, kinds, max}));
}

void StoreCase::pause(std::string_view queue) { must(store_->set_paused(queue, true)); }

std::vector<Ticket> StoreCase::resume(std::string_view queue) {
  return must(store_->set_paused(queue, false));
}

JobRecord StoreCase::record(JobId id) { return must(store_->monitor().job(id)); }

bool StoreCase::gone(JobId id) {
  auto record = store_->monitor().job(id);
  return !record && record.error().code == Code::kNotFound;
}

std::vector<JobId> ids_of(const std::vector<Ticket>& tickets) {
  std::vector<JobId> ids;
  ids.reserve(tickets.size());
  for (const Ticket& t : tickets) ids.push_back(t.id);
  return ids;
}

void register_store_tests(StoreHarness harness) {
  const std::string suite = harness.name + "/Store";
  StoreCases cases(suite, std::move(harness));
  add_insert_cases(cases);
  add_claim_cases(cases);
  add_source_cases(cases);
  add_beat_cases(cases);
  add_finish_cases(cases);
  add_history_cases(cases);
  add_operator_cases(cases);
  add_sweep_cases(cases);
  add_pause_cases(cases);
  add_limit_cases(cases);
  add_place_cases(cases);
  add_queue_cases(cases);
  add_rate_cases(cases);
  add_unique_cases(cases);
  add_await_cases(cases);
  add_monitor_cases(cases);
  add_durability_cases(cases);
  add_concurrency_cases(cases);
}

void together(int n, const std::function<void(int)>& body) {
  std::barrier begin(n);
  std::vector<std::jthread> threads;
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      begin.arrive_and_wait();
      body(i);
    });
  }
}

}  // namespace carrel::conformance
