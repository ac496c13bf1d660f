#include "isolation_case.h"

#include <reactor.h>

#include <cstdio>

namespace carrel::conformance {
namespace {

constexpr auto kPatience = std::chrono::minutes(1);

}  // namespace

void Listener::note(std::string what) {
  if (inside_.fetch_add(1) != 0) overlapped_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (ends_ > 0) ++after_end_;
    heard_.push_back(std::move(what));
  }
  changed_.notify_all();
  inside_.fetch_sub(1);
}

void Listener::on_start() noexcept { note("start"); }

void Listener::on_progress(float fraction, std::string_view message) noexcept {
  char text[32];
  std::snprintf(text, sizeof text, "progress %.2f ", static_cast<double>(fraction));
  note(text + std::string(message));
}

void Listener::on_checkpoint(std::string_view bytes) noexcept {
  note("checkpoint " + std::string(bytes));
}

void Listener::on_log(std::string_view line) noexcept {
  note("log " + std::string(line));
}

void Listener::on_end(Outcome outcome) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!outcome_) outcome_ = std::move(outcome);
  }
  note("end");
  {
    const std::lock_guard lock(mutex_);
    ++ends_;
  }
  changed_.notify_all();
}

void Listener::wait_progress() {
  std::unique_lock lock(mutex_);
  const bool begun = changed_.wait_for(lock, kPatience, [&] {
    for (const std::string& what : heard_) {
      if (what.starts_with("progress") || what == "end") return true;
    }
    return false;
  });
  EXPECT_TRUE(begun) << "the run never said that it began";
}

Outcome Listener::wait_end() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return ends_ > 0; })) {
    ADD_FAILURE() << "the run never ended";
    return {};
  }
  return *outcome_;
}

bool Listener::ended() {
  const std::lock_guard lock(mutex_);
  return ends_ > 0;
}

std::vector<std::string> Listener::heard() {
  const std::lock_guard lock(mutex_);
  return heard_;
}

std::vector<std::string> Listener::logs() {
  std::vector<std::string> lines;
  for (const std::string& what : heard()) {
    if (what.starts_with("log ")) lines.push_back(what.substr(4));
  }
  return lines;
}

void Listener::expect_orderly() {
  const std::lock_guard lock(mutex_);
  EXPECT_FALSE(overlapped_) << "two calls of one sink at once";
  EXPECT_LE(ends_, 1) << "on_end was heard more than once";
  EXPECT_EQ(after_end_, 0) << "a call came after on_end";
}

IsolationCase::IsolationCase(IsolationHarness harness)
    : harness_(std::move(harness)), handlers_(conformance_handlers()) {}

IsolationCase::~IsolationCase() = default;

void IsolationCase::SetUp() {
  reactor_ = std::make_unique<Reactor>();
  std::vector<KindSpec> kinds;
  if (programs()) {
    for (const auto& [kind, command] : conformance_programs()) {
      KindSpec spec;
      spec.kind = kind;
      spec.command = command;
      spec.env = {{"CONFORMANCE_WORD", "from the kind"}};
      spec.pass_env = {"PATH"};
      kinds.push_back(std::move(spec));
    }
  } else {
    for (const auto& [kind, handler] : handlers_.all()) {
      KindSpec spec;
      spec.kind = kind;
      spec.handler = handler;
      spec.kept = kKept;
      kinds.push_back(std::move(spec));
    }
  }
  IsolationSetup setup;
  setup.kinds = kinds;
  setup.concurrency = 64;
  setup.reactor = reactor_.get();
  isolation_ = must(harness_.entry.make(setup));
  ASSERT_NE(isolation_, nullptr) << harness_.name << " made no isolation";
}

void IsolationCase::TearDown() {
  isolation_.reset();
  if (reactor_) reactor_->stop();
  // Only now is it certain that nothing more can be heard.
  for (const auto& listener : listeners_) listener->expect_orderly();
}

Started IsolationCase::start(const std::string& kind, std::string payload, Limits limits,
                             Claimed job) {
  job.kind = kind;
  job.payload = std::move(payload);
  if (value(job.lease.id) == 0) job.lease = {JobId{++last_id_}, Fence{1}};
  if (job.queue.empty()) job.queue = "default";
  Started started;
  started.listener = std::make_shared<Listener>();
  listeners_.push_back(started.listener);
  Task task{std::make_shared<const Claimed>(std::move(job)), limits, started.listener};
  auto answers = isolation_->start({&task, 1});
  if (answers.size() != 1) {
    ADD_FAILURE() << "start answered " << answers.size() << " times for one task";
  } else if (answers[0]) {
    started.run = std::move(*answers[0]);
  } else {
    started.refused = std::move(answers[0].error());
  }
  return started;
}

Outcome IsolationCase::run(const std::string& kind, std::string payload, Limits limits,
                           Claimed job) {
  const Started started = start(kind, std::move(payload), limits, std::move(job));
  if (started.refused) {
    ADD_FAILURE() << kind << " was refused: " << started.refused->message;
    return {};
  }
  return started.listener->wait_end();
}

void IsolationCase::expect_alive() {
  const Outcome control = programs() ? run("conformance.cat", "[\"control\"]")
                                     : run("conformance.echo", "[\"control\"]");
  EXPECT_EQ(control.klass, OutcomeClass::kOk) << control.error.message;
  EXPECT_EQ(control.result, "[\"control\"]");
}

void register_isolation_tests(IsolationHarness harness) {
  const bool programs = harness.entry.runs_programs;
  const std::string suite = harness.name + "/Isolation";
  IsolationCases cases(suite, std::move(harness));
  if (programs) {
    add_program_cases(cases);
  } else {
    add_handler_cases(cases);
    add_stop_cases(cases);
  }
}

}  // namespace carrel::conformance
