#include "crew.h"

#include <gtest/gtest.h>

#include <fstream>
#include <utility>

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using conformance::Event;

constexpr int kCrew = 2;
constexpr std::chrono::milliseconds kLongest = 60s;

}  // namespace

Crew::Crew(const std::string& url)
    : log_(or_die(conformance::EventLog::open(place_.log("producer")), "event log")) {
  std::ofstream(place_.folder / "store") << url << "\n";
  store_ = or_die(open_store(url), "open");
  for (int i = 0; i < kCrew; ++i) {
    workers_.emplace_back(std::vector<std::string>{FAULT_WORKER, place_.folder.string(),
                                                   std::to_string(kLease.count()), "3"});
    EXPECT_EQ(workers_.back().wait_line(), "READY");
  }
}

// Some take long enough to be under way whatever happens next.
std::size_t Crew::ask(std::string pad) {
  NewJob job;
  job.kind = kKind;
  job.request_id = "request-" + std::to_string(asked_);
  job.payload = Json{
      {"n", asked_},
      {"ms", asked_ % 5 == 0 ? 400 : 5},
      {"fail", 0},
      {"pad", std::move(pad)},
      {"brings", 0}}.dump();
  ++asked_;
  write(Event::Kind::kAsk, job);
  refused_.push_back(std::move(job));
  return ask_again();
}

std::size_t Crew::ask_again() {
  const auto answers = store_->insert(refused_, kLongest);
  std::vector<NewJob> refused;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      write(Event::Kind::kAck, refused_[i], value(answers[i]->id));
    } else {
      EXPECT_EQ(answers[i].error().code, Code::kUnavailable)
          << answers[i].error().message;
      refused.push_back(std::move(refused_[i]));
    }
  }
  refused_ = std::move(refused);
  return refused_.size();
}

bool Crew::some_run() const {
  const auto counts = store_->monitor().counts();
  return counts && counts->total[static_cast<std::size_t>(State::kRunning)] > 0;
}

bool Crew::all_are_final() const {
  const auto counts = store_->monitor().counts();
  if (!counts) return false;
  for (std::size_t s = 0; s < kStateCount; ++s) {
    if (!is_final(static_cast<State>(s)) && counts->total[s] > 0) return false;
  }
  return true;
}

conformance::CheckReport Crew::check() {
  for (Child& worker : workers_) {
    worker.end_input();
    EXPECT_EQ(worker.wait_end(kLongest), 0);
  }
  return or_die(conformance::check(*store_, events_of(place_)), "check");
}

void Crew::write(Event::Kind kind, const NewJob& job, std::uint64_t id) {
  Event event;
  event.kind = kind;
  event.key = job.request_id;
  event.id = id;
  event.hash = conformance::hash_of(job.payload);
  log_.append(event);
}

}  // namespace carrel::fault
