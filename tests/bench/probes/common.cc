#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "probe.h"

namespace bench {

carrel::Engine open(carrel::Config config) {
  config.log.level = carrel::LogLevel::kError;
  return must(carrel::Engine::open(std::move(config)));
}

std::vector<carrel::JobId> enqueue(carrel::Engine& engine, const std::string& kind,
                                   const carrel::Json& args, std::size_t jobs,
                                   std::size_t batch) {
  std::vector<carrel::JobId> ids;
  ids.reserve(jobs);
  if (batch <= 1) {
    while (ids.size() < jobs) ids.push_back(must(engine.enqueue(kind, args)));
    return ids;
  }
  const std::vector<carrel::Request> requests(std::min(batch, jobs),
                                              carrel::Request{kind, args, {}});
  while (ids.size() < jobs) {
    const std::size_t now = std::min(requests.size(), jobs - ids.size());
    for (auto& id : engine.enqueue(std::span(requests).first(now))) {
      ids.push_back(must(std::move(id)));
    }
  }
  return ids;
}

void Countdown::one() {
  if (left_.fetch_sub(1) > wake_below_.load()) return;
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void Countdown::wait() { wait_below(1); }

void Countdown::wait_below(std::size_t n) {
  std::unique_lock lock(mutex_);
  wake_below_ = n;
  changed_.wait(lock, [&] { return left_ < n; });
  wake_below_ = 0;
}

double median_latency(carrel::Config config, const Options& options) {
  using Clock = std::chrono::steady_clock;
  std::atomic<Clock::time_point> sent;
  std::vector<double> took;
  took.reserve(options.jobs);
  Countdown done(options.jobs);
  carrel::Engine engine = open(std::move(config));
  must(engine.handle("stamp", [&](carrel::Context&) {
    const auto now = Clock::now();
    took.push_back(std::chrono::duration<double, std::micro>(now - sent.load()).count());
  }));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.start());
  for (std::size_t left = options.jobs; left > 0; --left) {
    std::this_thread::sleep_for(options.gap);
    sent = Clock::now();
    must(engine.enqueue("stamp"));
    done.wait_below(left);
  }
  engine.stop(std::chrono::seconds(5));
  if (took.size() != options.jobs) throw std::runtime_error("not every job ran once");
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return took[took.size() / 2];
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t virtual_pages = 0;
  std::size_t resident_pages = 0;
  statm >> virtual_pages >> resident_pages;
  return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace bench
