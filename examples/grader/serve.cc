#include "serve.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "compare.h"
#include "handler.h"
#include "steps.h"

namespace grader {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes kVerdictPatience{10};

// sd_notify's protocol: one datagram. Without a manager nothing is said.
void notify(std::string_view text) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string_view name = path == nullptr ? "" : path;
  if (name.size() < 2 || name.size() >= sizeof to.sun_path) return;
  name.copy(to.sun_path, name.size());
  if (name.front() == '@') to.sun_path[0] = '\0';  // in the abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&to), size) < 0) {
    std::fprintf(stderr, "grader: the service manager cannot be told\n");
  }
  ::close(fd);
}

int complain(const carrel::Error& error) {
  switch (error.code) {
    case carrel::Code::kUnavailable:
      return grader::complain(error.message, kAway);
    case carrel::Code::kUnsupported:
      return grader::complain(error.message, kSkipped);
    default:
      return grader::complain(error.message, kBadInput);
  }
}

}  // namespace

int serve(const ServeOptions& options) {
  auto config = carrel::Config::load_with_environment(options.config);
  if (!config) return complain(config.error());
  auto steps_config = carrel::Config::load(fs::path(options.files) / "steps.toml");
  if (!steps_config) return complain(steps_config.error());
  config->worker.concurrency = options.instances;
  config->worker.queues = {kPull, kPush};
  config->worker.order = carrel::QueueOrder::kStrict;
  steps_config->worker.concurrency = options.instances;
  steps_config->log.level = config->log.level;
  // First, for it forks the process server, which wants one thread.
  auto steps = Steps::start(std::move(*steps_config));
  if (!steps) return complain(steps.error());
  auto engine = carrel::Engine::open(std::move(*config));
  if (!engine) return complain(engine.error());
  handle_grades(*engine, fs::path(options.files) / "problems",
                sandbox_benches(std::move(*steps)));
  if (auto ok = engine->ignite(); !ok) return complain(ok.error());
  notify("READY=1\nSTATUS=" + std::to_string(options.instances) + " grades at once");
  std::printf("ready: %zu grades at once\n", static_cast<std::size_t>(options.instances));
  std::fflush(stdout);
  const auto ran = engine->run();
  notify("STOPPING=1");
  return ran ? kOk : complain(ran.error());
}

int submit(const SubmitOptions& options) {
  auto config = carrel::Config::load_with_environment(options.config);
  if (!config) return complain(config.error());
  config->role = carrel::Role::kProducer;
  auto engine = carrel::Engine::open(std::move(*config));
  if (!engine) return complain(engine.error());
  std::vector<carrel::Request> requests;
  for (const std::string& file : options.files) {
    const auto submission = read_submission(file, options.problem);
    if (!submission) return complain(submission.error());
    requests.push_back({"grade", *submission, {.queue = options.push ? kPush : kPull}});
  }
  int code = kOk;
  const auto ids = engine->enqueue(requests);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i]) return complain(ids[i].error());
    if (options.push) {
      std::printf("%s: job %llu\n", options.files[i].c_str(),
                  static_cast<unsigned long long>(value(*ids[i])));
      continue;
    }
    // On stderr: what is printed to the other is the verdict.
    std::fprintf(stderr, "%s: job %llu, waits for the daemon\n", options.files[i].c_str(),
                 static_cast<unsigned long long>(value(*ids[i])));
    const auto result = engine->wait(*ids[i], kVerdictPatience);
    if (!result) {
      const bool away = result.error().code == carrel::Code::kUnavailable ||
                        result.error().code == carrel::Code::kTimeout;
      code = grader::complain(options.files[i] + ": " + result.error().message,
                              away ? kAway : kBadInput);
      continue;
    }
    const Grade grade = result->get<Grade>();
    std::printf("%s: %s%s\n", options.files[i].c_str(), grade.verdict.c_str(),
                grade.test.empty() ? "" : (", test " + grade.test).c_str());
    if (!grade.message.empty()) std::printf("%s\n", grade.message.c_str());
  }
  return code;
}

}  // namespace grader
