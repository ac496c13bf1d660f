// Worker processes on a database, and who asks for their jobs: nobody is killed, but the
// database may be unavailable for a while. What they say is written beside it.
#pragma once

#include <carrel/conformance/checker.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "child.h"
#include "folder.h"
#include "work.h"

namespace carrel::fault {

// Threads: one. Its processes and logs are gone with it. An answer other than
// kUnavailable, and a worker that does not start or end, fail the test.
class Crew {
 public:
  static constexpr std::chrono::milliseconds kLease{1'000};

  explicit Crew(const std::string& url);

  // For another job, with `pad` in its payload, and once more for all that have been
  // refused. How many are refused now.
  std::size_t ask(std::string pad);
  std::size_t ask_again();
  std::size_t asked() const { return asked_; }

  bool some_run() const;
  bool all_are_final() const;  // false also where nobody can say
  // Ends the workers, and checks all that was asked for.
  conformance::CheckReport check();

 private:
  void write(conformance::Event::Kind kind, const NewJob& job, std::uint64_t id = 0);

  const Folder folder_;
  const Place place_{folder_.path()};
  conformance::EventLog log_;
  std::unique_ptr<Store> store_;
  std::vector<Child> workers_;
  std::size_t asked_ = 0;
  std::vector<NewJob> refused_;
};

}  // namespace carrel::fault
