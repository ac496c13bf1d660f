#include "steps.h"

#include <csignal>

#include "bare.h"
#include "language.h"

namespace grader {
namespace {

using carrel::Code;
using carrel::Json;

Ran ran_of(const carrel::JobRecord& record) {
  Ran ran;
  if (!record.attempts.empty()) {
    const carrel::Attempt& attempt = record.attempts.back();
    ran.klass = attempt.klass;
    // Where no sandbox tells limits from other ends.
    if (attempt.signal == SIGXCPU) ran.klass = carrel::OutcomeClass::kCpuTimeout;
    if (attempt.signal == SIGXFSZ) ran.klass = carrel::OutcomeClass::kFsizeLimit;
    ran.message = attempt.message;
    ran.complaint = attempt.stderr_tail;
    ran.usage = attempt.usage;
    ran.leftovers = attempt.leftover_killed;
    ran.enforced = attempt.enforced;
  }
  ran.output = record.result;
  return ran;
}

class SandboxBench final : public Bench {
 public:
  SandboxBench(std::shared_ptr<Steps> steps, const Language& language,
               const Submission& submission, std::stop_token stop)
      : steps_(std::move(steps)),
        language_(language),
        source_(submission.source),
        mark_(std::string("export ") + kMark + "='" + submission.name + "'\n"),
        stop_(std::move(stop)) {}

  carrel::Result<Ran> compile() override {
    const Json files{{language_.file, source_}, {"step", mark_ + language_.compile}};
    auto ran = steps_->compile(Json{{"files", files}}.dump(), stop_);
    if (ran && ran->klass == carrel::OutcomeClass::kOk) {
      const Json result = Json::parse(ran->output);
      product_ = result.at("files").value(language_.product, Json());
    }
    return ran;
  }

  carrel::Result<Ran> run(const std::string& input) override {
    Json files{{"step", mark_ + "exec " + language_.run + " < input"},
               {"input", input}};
    if (product_.is_null()) {
      files[language_.file] = source_;
    } else {
      files[language_.product] = product_;
    }
    auto ran = steps_->run(Json{{"files", files}}.dump(), stop_);
    if (ran && !ran->output.empty()) {
      ran->output = Json::parse(ran->output).get<std::string>();
    }
    return ran;
  }

 private:
  const std::shared_ptr<Steps> steps_;
  const Language& language_;
  const std::string source_;
  const std::string mark_;
  const std::stop_token stop_;
  Json product_;
};

class SandboxBenches final : public Benches {
 public:
  explicit SandboxBenches(std::shared_ptr<Steps> steps) : steps_(std::move(steps)) {}
  carrel::Result<std::unique_ptr<Bench>> make(const Submission& submission,
                                              std::stop_token stop) override {
    const Language* language = language_named(submission.language);
    if (language == nullptr) {
      return carrel::fail(Code::kDiscarded, "no language " + submission.language);
    }
    return std::make_unique<SandboxBench>(steps_, *language, submission, std::move(stop));
  }

 private:
  const std::shared_ptr<Steps> steps_;
};

}  // namespace

Steps::Steps(carrel::Engine engine) : engine_(std::move(engine)) {}

Steps::~Steps() { engine_.stop(carrel::Duration{0}); }

carrel::Result<std::unique_ptr<Steps>> Steps::start(carrel::Config config) {
  auto engine = carrel::Engine::open(std::move(config));
  if (!engine) return tl::unexpected<carrel::Error>(engine.error());
  if (auto ok = engine->start(); !ok) return tl::unexpected<carrel::Error>(ok.error());
  return std::unique_ptr<Steps>(new Steps(std::move(*engine)));
}

carrel::Result<Ran> Steps::compile(const std::string& payload, std::stop_token stop) {
  return step("compile", payload, std::move(stop));
}

carrel::Result<Ran> Steps::run(const std::string& payload, std::stop_token stop) {
  return step("run", payload, std::move(stop));
}

carrel::Result<Ran> Steps::step(const char* kind, const std::string& payload,
                                std::stop_token stop) {
  const auto id = engine_.enqueue_bytes(kind, payload);
  if (!id) return tl::unexpected<carrel::Error>(id.error());
  const std::stop_callback cancel(stop, [&] { std::ignore = engine_.cancel(*id); });
  // Its own limits end it; this waits for that.
  std::ignore = engine_.wait(*id, std::chrono::hours(24));
  const auto record = engine_.job(*id);
  if (!record) return tl::unexpected<carrel::Error>(record.error());
  if (stop.stop_requested()) {
    return carrel::fail(Code::kCancelled, "the grader was asked to stop");
  }
  Ran ran = ran_of(*record);
  if (is_ours(ran.klass)) {
    return carrel::fail(Code::kUnavailable,
                        std::string(carrel::to_string(ran.klass)) + ": " + ran.message);
  }
  return ran;
}

std::unique_ptr<Benches> sandbox_benches(std::shared_ptr<Steps> steps) {
  return std::make_unique<SandboxBenches>(std::move(steps));
}

}  // namespace grader
