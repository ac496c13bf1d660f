// What the fault tests of the broker share: it hosts a SQLite file, with workers, and a
// producer that enqueues one chunk of the jobs after the other.
#pragma once

#include <carrel/conformance/checker.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "child.h"
#include "folder.h"
#include "work.h"

namespace carrel::fault {

using namespace std::chrono_literals;

std::size_t from_environment(const char* name, std::size_t otherwise);

class BrokerCase : public testing::Test {
 protected:
  static constexpr std::size_t kWorkers = 3;
  static constexpr std::size_t kChunks = 12;
  static constexpr std::chrono::milliseconds kLease = 1s;

  // Who is started where: a test may put them on hosts of their own.
  enum class Who { kBroker, kWorker, kProducer };
  virtual std::vector<std::string> placed(Who /*who*/, std::size_t /*number*/,
                                          std::vector<std::string> command) const {
    return command;
  }

  // FAULT_JOBS and FAULT_SEED in the environment make it longer, or the same again.
  explicit BrokerCase(std::size_t jobs);
  // Before the first is started. `url`: what the others open. `more`: of broker.toml.
  void listen_on(const std::string& endpoint, const std::string& url,
                 const std::string& more = {}) const;

  Child broker() const;
  Child worker(std::size_t number) const;
  // Starts the producer of the next chunk, when that of the last has ended.
  void produce();
  // Starts it again until its chunk is enqueued.
  void finish_producer();
  // A poll, which gives up when nothing has become final for a minute.
  void expect_all_final(Store& store) const;
  // The rest of the chunks, the end of everything, and the checker.
  void expect_nothing_lost(conformance::CheckReport& report);
  std::chrono::milliseconds some(std::chrono::milliseconds least,
                                 std::chrono::milliseconds most);

  const std::size_t jobs_;
  const std::size_t seed_;
  std::mt19937 random_;
  const Folder folder_;
  std::optional<Child> broker_;
  std::vector<Child> workers_;
  std::optional<Child> producer_;
  std::size_t next_chunk_ = 0;

 private:
  Child producer() const;

  std::vector<std::string> chunk_;
};

}  // namespace carrel::fault
