// What the probes share. A probe measures one side of a figure in a process of its own,
// so that no figure sees the memory, threads or children of another.
#pragma once

#include <carrel/engine.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

struct Options {
  std::size_t jobs = 1;
  std::size_t batch = 1;
  std::size_t threads = 1;
  std::size_t concurrency = 4;
  std::size_t recycle = 1;      // jobs that one child runs
  std::size_t resident_mb = 0;  // how large the host makes itself
  std::chrono::microseconds gap{0};
  std::string scratch;  // a folder for databases
  std::string echo;     // the program of exec jobs
  std::string store;    // of an engine beside the one that is measured
};

using Probe = double (*)(const Options&);
// By name. A probe throws std::runtime_error where there is nothing to measure.
std::map<std::string, Probe> memory_probes();
std::map<std::string, Probe> sqlite_probes();
std::map<std::string, Probe> process_probes();
std::map<std::string, Probe> fork_probes();

template <class T>
T must(carrel::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// An engine for `config`, quiet but for errors.
carrel::Engine open(carrel::Config config);

// Enqueues `jobs` jobs, `batch` at a time, by the single call where batch is 1.
std::vector<carrel::JobId> enqueue(carrel::Engine& engine, const std::string& kind,
                                   const carrel::Json& args, std::size_t jobs,
                                   std::size_t batch);

// Counts jobs, on any threads, until as many as were expected are done.
class Countdown {
 public:
  explicit Countdown(std::size_t expected) : left_(expected) {}
  void one();
  void wait();                     // until none is left
  void wait_below(std::size_t n);  // until fewer than n are left

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::size_t> left_;
  std::atomic<std::size_t> wake_below_{0};
};

// Of a started engine: the median time from before an enqueue to the first statement of
// its handler, in microseconds; `gap` of idleness before each.
double median_latency(carrel::Config config, const Options& options);

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Bytes of this process that are in memory now.
std::size_t resident_bytes();

}  // namespace bench
