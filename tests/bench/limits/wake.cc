// The limit of memory.idle_latency: a thread asleep on a condition variable is woken.
// Prints the median time from before the lock to the first statement after the wait, in
// microseconds.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: limit_wake SAMPLES GAP_US\n", stderr);
    return 2;
  }
  const auto samples = std::strtoull(argv[1], nullptr, 10);
  const std::chrono::microseconds gap(std::strtoll(argv[2], nullptr, 10));
  using Clock = std::chrono::steady_clock;

  std::mutex mutex;
  std::condition_variable wake;
  bool full = false;
  Clock::time_point sent;
  std::vector<double> took;
  took.reserve(samples);
  std::thread worker([&] {
    while (took.size() < samples) {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return full; });
      const auto now = Clock::now();
      took.push_back(std::chrono::duration<double, std::micro>(now - sent).count());
      full = false;
      wake.notify_all();
    }
  });
  for (std::size_t i = 0; i < samples; ++i) {
    std::this_thread::sleep_for(gap);  // so that the worker sleeps too
    const auto now = Clock::now();
    {
      std::lock_guard lock(mutex);
      sent = now;
      full = true;
    }
    wake.notify_all();
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return !full; });
  }
  worker.join();
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  std::printf("%.6g\n", took[took.size() / 2]);
  return 0;
}
