// What every job pays for outside its store: arguments as JSON, and the retry rule.
#include <benchmark/benchmark.h>
#include <carrel/context.h>
#include <carrel/retry.h>

#include <memory>
#include <string>

namespace {

const carrel::Json kArguments = {{"path", "a/picture/of/some/size.png"},
                                 {"width", 640},
                                 {"height", 480},
                                 {"tags", {"small", "square"}}};

void json_to_payload(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(kArguments.dump());
}
BENCHMARK(json_to_payload);

void payload_to_json(benchmark::State& state) {
  const std::string payload = kArguments.dump();
  for (auto _ : state) benchmark::DoNotOptimize(carrel::Json::parse(payload));
}
BENCHMARK(payload_to_json);

void retry_decide(benchmark::State& state) {
  const carrel::RetryPolicy policy;
  carrel::Claimed job;
  job.attempt = 7;
  carrel::Outcome outcome;
  outcome.klass = carrel::OutcomeClass::kFailed;
  double random = 0;
  for (auto _ : state) {
    random = random < 0.9 ? random + 0.1 : 0;
    benchmark::DoNotOptimize(carrel::decide(policy, job, outcome, std::nullopt, random));
  }
}
BENCHMARK(retry_decide);

}  // namespace
