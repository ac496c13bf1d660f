#include "course.h"

#include "bare.h"
#include "handler.h"
#include "steps.h"

namespace grader {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using std::chrono::seconds;

constexpr seconds kPatience{600};

std::string queue_of(const TrialWork& work, const char* queue) {
  return work.name + "-" + queue;
}

carrel::Config config_of(const TrialWork& work, const fs::path& folder) {
  carrel::Config config;
  config.store = work.store;
  config.directory = folder;
  config.worker.concurrency = work.at_once;
  config.worker.queues = {queue_of(work, kPull), queue_of(work, kPush)};
  config.worker.order =
      work.order == "mixed" ? carrel::QueueOrder::kMixed : carrel::QueueOrder::kStrict;
  config.log.level = carrel::LogLevel::kError;
  carrel::KindConfig& grade = config.jobs["grade"];
  grade.isolation = work.way == "fork" ? "fork" : "thread";
  grade.timeout = std::chrono::minutes(5);
  return config;
}

carrel::Result<std::shared_ptr<Benches>> benches_of(const TrialWork& work) {
  const seconds wall(work.wall_s);
  if (work.way == "system" || work.way == "fork") return system_benches(wall);
  carrel::Result<carrel::Config> config = bare_steps(wall, work.at_once);
  if (work.way == "sandbox") {
    config = carrel::Config::load(fs::path(work.files) / "steps.toml");
    if (!config) return tl::unexpected<carrel::Error>(config.error());
    config->worker.concurrency = work.at_once;
    config->jobs["run"].timeout = wall;
    config->log.level = carrel::LogLevel::kError;
  }
  auto steps = Steps::start(std::move(*config));
  if (!steps) return tl::unexpected<carrel::Error>(steps.error());
  if (work.way == "sandbox") return sandbox_benches(std::move(*steps));
  return exec_benches(std::move(*steps));
}

}  // namespace

carrel::Result<std::unique_ptr<Course>> Course::open(const TrialWork& work,
                                                     const fs::path& folder) {
  std::unique_ptr<Course> course(new Course(work));
  // First, for its engine forks the process server, which wants one thread.
  auto benches = benches_of(work);
  if (!benches) return tl::unexpected<carrel::Error>(benches.error());
  auto opened = carrel::Engine::open(config_of(work, folder));
  if (!opened) return tl::unexpected<carrel::Error>(opened.error());
  course->engine_ = std::make_unique<carrel::Engine>(std::move(*opened));
  handle_grades(*course->engine_, fs::path(work.files) / "problems", std::move(*benches));
  course->engine_->on_finished([it = course.get()](const carrel::Event& event) {
    if (!is_final(event.state)) return;
    const std::scoped_lock lock(it->mutex_);
    ++it->ended_;
    it->changed_.notify_all();
  });
  if (auto ok = course->engine_->start(); !ok) {
    return tl::unexpected<carrel::Error>(ok.error());
  }
  return course;
}

Course::~Course() {
  if (engine_) engine_->stop(seconds(5));
}

carrel::Result<std::vector<carrel::JobId>> Course::hand_in(
    const std::vector<Submission>& submissions, const char* queue) {
  std::vector<carrel::Request> requests;
  for (const Submission& submission : submissions) {
    requests.push_back({"grade", submission, {.queue = queue_of(work_, queue)}});
  }
  std::vector<carrel::JobId> ids;
  for (const auto& id : engine_->enqueue(requests)) {
    if (!id) return tl::unexpected<carrel::Error>(id.error());
    ids.push_back(*id);
  }
  return ids;
}

bool Course::wait_for(std::size_t ended) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return ended_ >= ended; });
}

std::size_t Course::ended() const {
  const std::scoped_lock lock(mutex_);
  return ended_;
}

}  // namespace grader
