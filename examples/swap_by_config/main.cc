// One program, any combination: where its jobs wait and what they run inside is only in
// the file that it is given. It prints the same for each of those in this folder.
#include <carrel/engine.h>

#include <iostream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using carrel::Json;

struct Range {
  int from = 0;
  int to = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Range, from, to)

int primes(carrel::Context& job, const Range& range) {
  int count = 0;
  for (int n = range.from; n < range.to; ++n) {
    bool prime = n > 1;
    for (int d = 2; prime && d * d <= n; ++d) prime = n % d != 0;
    count += prime;
    job.progress(static_cast<float>(n - range.from) / (range.to - range.from));
  }
  return count;
}

carrel::Result<Json> flaky(carrel::Context& job) {
  if (job.attempt() == 1) throw std::runtime_error("the first attempt always fails");
  return Json("done by attempt " + std::to_string(job.attempt()));
}

int fail(const carrel::Error& error) {
  std::cerr << error.message << '\n';
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: swap_by_config CONFIG.toml\n";
    return 2;
  }
  auto engine = carrel::Engine::open(argv[1]);
  if (!engine) return fail(engine.error());
  engine->handle<Range>("primes", primes);
  engine->handle("flaky", flaky);

  std::vector<carrel::Request> requests;
  for (int from = 0; from < 40'000; from += 10'000) {
    requests.push_back({"primes", Json(Range{from, from + 10'000})});
  }
  requests.push_back({"flaky", nullptr});

  const auto ids = engine->enqueue(requests);
  if (auto started = engine->start(); !started) return fail(started.error());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i]) return fail(ids[i].error());
    const auto result = engine->wait(*ids[i], 30s);
    if (!result) return fail(result.error());
    std::cout << requests[i].kind << ' ' << requests[i].args << " -> " << *result << '\n';
  }
  engine->stop(5s);
  return 0;
}
