// Compiling and running as jobs of a second engine: one in memory, beside the engine
// whose job waits for them. The first is durable and holds the grade; these steps are
// gone with the process, and begin again with the grade that needed them.
#pragma once

#include <carrel/engine.h>

#include <memory>
#include <stop_token>
#include <string>

#include "grade.h"

namespace grader {

// Threads: every call is safe beside every other.
class Steps {
 public:
  // `config` has the kinds "compile" and "run". Forks the process server, so this process
  // must have one thread. kUnsupported: this machine has no such sandbox; the message
  // names the feature.
  static carrel::Result<std::unique_ptr<Steps>> start(carrel::Config config);
  ~Steps();

  // Waits for the end of one program. kCancelled: `stop` came.
  carrel::Result<Ran> compile(const std::string& payload, std::stop_token stop);
  carrel::Result<Ran> run(const std::string& payload, std::stop_token stop);

 private:
  explicit Steps(carrel::Engine engine);
  carrel::Result<Ran> step(const char* kind, const std::string& payload,
                           std::stop_token stop);
  carrel::Engine engine_;
};

// In the sandbox of `steps`: files go in with the job, and come out with its result.
std::unique_ptr<Benches> sandbox_benches(std::shared_ptr<Steps> steps);

}  // namespace grader
