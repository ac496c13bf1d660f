#include <carrel/fork_to.h>
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "inherited.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

class InheritedLogger : public ProcessTest {};

// The thread that writes is not in the child, and the queue's lock may be held there for
// ever: a child whose hook gives it a logger of its own does not care, and none waits for
// that thread at its end.
TEST_F(InheritedLogger, Case21_AsyncLogInherited_NoHang) {
  const auto file =
      std::filesystem::temp_directory_path() / ("carrel-log-" + std::to_string(getpid()));
  std::filesystem::remove(file);
  constexpr int kForks = 50;
  std::atomic<int> lines{0};
  {
    auto pool = std::make_shared<spdlog::details::thread_pool>(1024, 1);
    auto logger = std::make_shared<spdlog::async_logger>(
        "host", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string()), pool);
    spdlog::set_default_logger(logger);
    std::jthread busy([&](std::stop_token stop) {
      while (!stop.stop_requested() || lines == 0) {
        logger->info("a line");
        ++lines;
      }
    });
    ForkHooks hooks;
    hooks.in_child = [] {
      // Not destroyed, not unregistered: that would take the other's locks.
      static auto* own = new std::shared_ptr<spdlog::logger>(
          new spdlog::logger("child", std::make_shared<spdlog::sinks::null_sink_mt>()));
      (*own)->info("from the child");
    };
    for (int i = 0; i < kForks; ++i) {
      const auto answer = fork_to(
          60s, [&] { return i; }, hooks);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(*answer, i);
      EXPECT_EQ(fork_host().run("echo", std::to_string(i)).result, std::to_string(i));
      if (i % 10 != 0) continue;
      const auto born = fork_to(60s, [] { return born_now("echo", "born"); });
      ASSERT_TRUE(born) << born.error().message;
      EXPECT_EQ(*born, "\"born\"");
    }
    busy.request_stop();
    busy.join();
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("none", spdlog::sinks_init_list{}));
    logger.reset();
    pool.reset();  // writes what is queued, and joins its thread
  }
  std::ifstream in(file);
  int found = 0;
  for (std::string line; std::getline(in, line); ++found) {
    EXPECT_TRUE(line.ends_with("a line")) << line;
  }
  EXPECT_EQ(found, lines) << "each of the host's lines once, and no other";
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace carrel::test
