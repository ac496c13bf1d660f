// The limit of memory.batch64 and memory.one_by_one: boost::asio::thread_pool, one post a
// job. Prints jobs a second.
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: limit_pool WORKERS JOBS\n", stderr);
    return 2;
  }
  const auto workers = std::strtoull(argv[1], nullptr, 10);
  const auto jobs = std::strtoull(argv[2], nullptr, 10);

  std::atomic<std::size_t> ran{0};
  boost::asio::thread_pool pool(workers);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < jobs; ++i) {
    boost::asio::post(pool, [&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
  }
  pool.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (ran != jobs) return 1;
  std::printf("%.6g\n", static_cast<double>(jobs) / took.count());
  return 0;
}
