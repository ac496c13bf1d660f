#include "bare.h"

#include <sys/wait.h>
#include <trial/scratch.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "language.h"

namespace grader {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::OutcomeClass;

constexpr std::uintmax_t kMostOutput = 1 << 20;

// Kilobytes and blocks of 512 bytes, as a shell wants them.
constexpr const char* kCompilerBounds =
    "ulimit -v 1048576; ulimit -f 65536; ulimit -S -t 30; ulimit -H -t 31; ";
constexpr const char* kStudentBounds =
    "ulimit -v 393216; ulimit -f 16384; ulimit -S -t 2; ulimit -H -t 3; ";

// A folder with the source, and a script for each step.
class BareBench : public Bench {
 public:
  BareBench(const Submission& submission, const Language& language)
      : name_(submission.name), language_(language), folder_("carrel-grade") {
    write(language.file, submission.source);
  }

  carrel::Result<Ran> compile() final { return step(kCompilerBounds, language_.compile); }
  carrel::Result<Ran> run(const std::string& input) final {
    write("input", input);
    return step(kStudentBounds,
                "exec " + std::string(language_.run) + " < input");
  }

 protected:
  // Runs the script "step" of that folder.
  virtual carrel::Result<Ran> run_step(const fs::path& folder) = 0;

 private:
  void write(const char* file, const std::string& text) {
    std::ofstream(folder_.path() / file, std::ios::binary) << text;
  }
  carrel::Result<Ran> step(const std::string& bounds, const std::string& command) {
    if (folder_.path().empty()) {
      return carrel::fail(Code::kUnavailable, "cannot make a temporary folder");
    }
    write("step", "export PATH=/usr/bin:/bin LANG=C.UTF-8 " + std::string(kMark) + "='" +
                      name_ + "'\n" + bounds + command + "\n");
    return run_step(folder_.path());
  }

  const std::string name_;
  const Language& language_;
  const trial::Folder folder_;
};

class SystemBench final : public BareBench {
 public:
  SystemBench(const Submission& submission, const Language& language,
              std::chrono::seconds wall)
      : BareBench(submission, language), wall_(wall) {}

 private:
  carrel::Result<Ran> run_step(const fs::path& folder) override {
    const std::string command = "cd '" + folder.string() + "' && exec timeout -k 1 " +
                                std::to_string(wall_.count()) +
                                " sh step > out 2> err < /dev/null";
    // The engine's threads have every signal blocked, which what they start would
    // inherit: neither a time limit nor TERM would end it.
    sigset_t none, mine;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &mine);
    const int status = std::system(command.c_str());
    pthread_sigmask(SIG_SETMASK, &mine, nullptr);
    if (status == -1) return carrel::fail(Code::kUnavailable, "system() failed");
    std::error_code ignored;
    Ran ran;
    ran.klass = class_of(status);
    if (fs::file_size(folder / "out", ignored) > kMostOutput && !ignored) {
      ran.klass = OutcomeClass::kOutputLimit;
    }
    ran.output = trial::content_of(folder / "out").substr(0, kMostOutput);
    ran.complaint = trial::content_of(folder / "err").substr(0, 4096);
    return ran;
  }

  static OutcomeClass class_of(int status) {
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal == SIGXCPU) return OutcomeClass::kCpuTimeout;
    if (signal == SIGXFSZ) return OutcomeClass::kFsizeLimit;
    if (signal != 0) return OutcomeClass::kSignaled;
    if (WEXITSTATUS(status) == 124) return OutcomeClass::kWallTimeout;  // of timeout(1)
    return WEXITSTATUS(status) == 0 ? OutcomeClass::kOk : OutcomeClass::kExitNonzero;
  }

  const std::chrono::seconds wall_;
};

class ExecBench final : public BareBench {
 public:
  ExecBench(const Submission& submission, const Language& language,
            std::shared_ptr<Steps> steps, std::stop_token stop)
      : BareBench(submission, language),
        steps_(std::move(steps)),
        stop_(std::move(stop)) {}

 private:
  carrel::Result<Ran> run_step(const fs::path& folder) override {
    auto ran = steps_->run(folder.string() + "\n", stop_);
    if (ran && !ran->output.empty()) {
      ran->output = carrel::Json::parse(ran->output).get<std::string>();
    }
    return ran;
  }
  const std::shared_ptr<Steps> steps_;
  const std::stop_token stop_;
};

class BareBenches final : public Benches {
 public:
  BareBenches(std::shared_ptr<Steps> steps, std::chrono::seconds wall)
      : steps_(std::move(steps)), wall_(wall) {}
  carrel::Result<std::unique_ptr<Bench>> make(const Submission& submission,
                                              std::stop_token stop) override {
    const Language* language = language_named(submission.language);
    if (language == nullptr) {
      return carrel::fail(Code::kDiscarded, "no language " + submission.language);
    }
    if (!steps_) return std::make_unique<SystemBench>(submission, *language, wall_);
    return std::make_unique<ExecBench>(submission, *language, steps_, std::move(stop));
  }

 private:
  const std::shared_ptr<Steps> steps_;  // nullptr: system()
  const std::chrono::seconds wall_;
};

}  // namespace

std::unique_ptr<Benches> system_benches(std::chrono::seconds wall) {
  return std::make_unique<BareBenches>(nullptr, wall);
}

std::unique_ptr<Benches> exec_benches(std::shared_ptr<Steps> steps) {
  return std::make_unique<BareBenches>(std::move(steps), std::chrono::seconds(0));
}

carrel::Config bare_steps(std::chrono::seconds wall, std::size_t at_once) {
  carrel::Config config;
  config.worker.concurrency = at_once;
  config.log.level = carrel::LogLevel::kError;
  carrel::KindConfig& run = config.jobs["run"];
  run.isolation = "exec";
  run.command = {"/usr/bin/sh", "-c", "read -r folder && cd \"$folder\" && exec sh step"};
  run.max_attempts = 1;
  run.timeout = wall;
  run.stop_grace = run.term_grace = std::chrono::milliseconds(50);
  run.result_limit = kMostOutput;
  run.pass_env = {};
  run.output = carrel::Output::kText;
  return config;
}

}  // namespace grader
