// The three statements of a job's life, by themselves: rows a second of insert, claim and
// finish, so many rows a call, through the Store interface.
#include <benchmark/benchmark.h>
#include <carrel/registry.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// A store of its own for one benchmark, gone with it.
class Fresh {
 public:
  explicit Fresh(const std::string& scheme) {
    std::string name = (fs::temp_directory_path() / "carrel-micro-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder");
    folder_ = name;
    const std::string text = scheme == "memory" ? "memory:" : scheme + ":" + name + "/db";
    const carrel::Url url = carrel::Url::parse(text).value();
    store_ = (*registry_.store(url.scheme).value())(url, {}).value();
    source_ = store_->claim_source();
  }
  ~Fresh() {
    source_.reset();
    store_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;

  void insert(std::size_t rows) {
    if (jobs_.size() != rows) {
      carrel::NewJob job;
      job.kind = "noop";
      job.payload = "null";
      jobs_.assign(rows, job);
    }
    for (const auto& row : store_->insert(jobs_, 10s)) row.value();
  }
  std::vector<carrel::Claimed> claim(std::size_t rows) {
    static const std::vector<std::string> kinds = {"noop"};
    const carrel::Demand demand{{}, kinds, rows};
    auto claimed = source_->claim(demand, "bench", ++claims_, 30s, 0s).value();
    if (claimed.size() != rows) throw std::runtime_error("claimed too few");
    return claimed;
  }
  void finish(const std::vector<carrel::Claimed>& claimed) {
    std::vector<carrel::Finish> runs(claimed.size());
    for (std::size_t i = 0; i < runs.size(); ++i) {
      runs[i].lease = claimed[i].lease;
      runs[i].attempt.emplace();
      runs[i].attempt->attempt = claimed[i].attempt;
      runs[i].attempt->fence = claimed[i].lease.fence;
      runs[i].attempt->klass = carrel::OutcomeClass::kOk;
    }
    for (const auto& answer : store_->finish(runs)) answer.value();
  }

 private:
  carrel::Registry registry_ = carrel::Registry::with_builtins();
  fs::path folder_;
  std::unique_ptr<carrel::Store> store_;
  std::unique_ptr<carrel::ClaimSource> source_;
  std::vector<carrel::NewJob> jobs_;
  std::uint64_t claims_ = 0;
};

// Times `part` of each round, and only that.
template <class Prepare, class Part, class CleanUp>
void timed(benchmark::State& state, Prepare prepare, Part part, CleanUp clean_up) {
  for (auto _ : state) {
    prepare();
    const auto begin = std::chrono::steady_clock::now();
    part();
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    clean_up();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void insert(benchmark::State& state, const std::string& scheme) {
  Fresh store(scheme);
  const auto rows = static_cast<std::size_t>(state.range(0));
  timed(
      state, [] {}, [&] { store.insert(rows); },
      [&] { store.finish(store.claim(rows)); });
}

void claim(benchmark::State& state, const std::string& scheme) {
  Fresh store(scheme);
  const auto rows = static_cast<std::size_t>(state.range(0));
  std::vector<carrel::Claimed> claimed;
  timed(
      state, [&] { store.insert(rows); }, [&] { claimed = store.claim(rows); },
      [&] { store.finish(claimed); });
}

void finish(benchmark::State& state, const std::string& scheme) {
  Fresh store(scheme);
  const auto rows = static_cast<std::size_t>(state.range(0));
  std::vector<carrel::Claimed> claimed;
  timed(
      state,
      [&] {
        store.insert(rows);
        claimed = store.claim(rows);
      },
      [&] { store.finish(claimed); }, [] {});
}

#define CARREL_STORE_BENCHMARK(call, scheme) \
  BENCHMARK_CAPTURE(call, scheme, #scheme)->UseManualTime()->Arg(1)->Arg(64)->Arg(1000)
CARREL_STORE_BENCHMARK(insert, memory);
CARREL_STORE_BENCHMARK(claim, memory);
CARREL_STORE_BENCHMARK(finish, memory);
CARREL_STORE_BENCHMARK(insert, sqlite);
CARREL_STORE_BENCHMARK(claim, sqlite);
CARREL_STORE_BENCHMARK(finish, sqlite);

}  // namespace
