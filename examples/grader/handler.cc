#include "handler.h"

namespace grader {
namespace {

// It becomes part of a script.
bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= 100 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789._-") == std::string::npos;
}

}  // namespace

void handle_grades(carrel::Engine& engine, std::filesystem::path problems,
                   std::shared_ptr<Benches> benches) {
  std::ignore = engine.handle<Submission>(
      "grade",
      [problems = std::move(problems), benches = std::move(benches)](
          carrel::Context& job,
          const Submission& submission) -> carrel::Result<carrel::Json> {
        if (!is_plain(submission.name)) {
          return job.discard("the name of a submission has letters, digits, . _ - only");
        }
        const auto problem = load_problem(problems, submission.problem);
        if (!problem) return job.discard(problem.error().message);
        const auto bench = benches->make(submission, job.stop());
        if (!bench) return tl::unexpected<carrel::Error>(bench.error());
        const auto graded = grade(*problem, **bench);
        if (!graded) return tl::unexpected<carrel::Error>(graded.error());
        return carrel::Json(*graded);
      });
}

}  // namespace grader
