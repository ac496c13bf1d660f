#include "support.h"

#include <carrel/exec.h>
#include <carrel/fork.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <stdexcept>
#include <thread>

#if defined(__SANITIZE_ADDRESS__)
// Of the sanitizers' common interface, whose header GCC does not install.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace carrel::test {

void Recorder::on_progress(float fraction, std::string_view message) noexcept {
  std::lock_guard lock(mutex_);
  progress.push_back({fraction, std::string(message)});
  changed_.notify_all();
}
void Recorder::on_checkpoint(std::string_view bytes) noexcept {
  std::lock_guard lock(mutex_);
  checkpoints.emplace_back(bytes);
  changed_.notify_all();
}
void Recorder::on_log(std::string_view line) noexcept {
  std::lock_guard lock(mutex_);
  log.emplace_back(line);
  changed_.notify_all();
}
void Recorder::on_end(Outcome outcome) noexcept {
  std::lock_guard lock(mutex_);
  outcome_ = std::move(outcome);
  ++ends;
  changed_.notify_all();
  if (then) then();
}

Outcome Recorder::wait(std::chrono::seconds patience) {
  wait_until([](const Recorder& r) { return r.ends > 0; }, patience);
  return outcome_;
}

void Recorder::wait_until(const std::function<bool(const Recorder&)>& seen,
                          std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, patience, [&] { return seen(*this); })) {
    throw std::runtime_error("nothing more was heard of the run");
  }
}

bool Recorder::logged(std::string_view line) const {
  return std::find(log.begin(), log.end(), line) != log.end();
}

bool Recorder::ended() const {
  std::lock_guard lock(mutex_);
  return ends > 0;
}

Host::Host(std::string_view name, std::vector<KindSpec> kinds, std::size_t warm) {
  Registry registry;
  register_fork(registry);
  register_exec(registry);
  IsolationSetup setup;
  setup.kinds = kinds;
  setup.reactor = &reactor_;
  setup.warm = warm;
  setup.concurrency = 8;
  auto made = registry.isolation(name).value()->make(setup);
  if (!made) throw std::runtime_error(made.error().message);
  isolation_ = std::move(*made);
}

Host::~Host() {
  isolation_.reset();
  settle();
}

void Host::settle() {
  std::promise<void> done;
  boost::asio::post(reactor_.context(), [&] { done.set_value(); });
  done.get_future().wait();
}

std::promise<void> Host::hold() {
  std::promise<void> go_on;
  boost::asio::post(reactor_.context(),
                    [until = go_on.get_future().share()] { until.wait(); });
  return go_on;
}

Task Host::task(std::string kind, std::string payload,
                std::shared_ptr<Recorder> sink) const {
  auto job = std::make_shared<Claimed>();
  job->lease = {JobId{7}, Fence{3}};
  job->queue = "default";
  job->kind = std::move(kind);
  job->payload = std::move(payload);
  job->checkpoint = "before";
  job->attempt = 2;
  return {std::move(job), limits, std::move(sink)};
}

Started Host::start(std::string kind, std::string payload) {
  auto sink = std::make_shared<Recorder>();
  Task tasks[] = {task(std::move(kind), std::move(payload), sink)};
  auto answers = isolation_->start(tasks);
  if (!answers.at(0)) throw std::runtime_error(answers[0].error().message);
  return {std::move(*answers[0]), std::move(sink)};
}

std::vector<Started> Host::start_many(std::string kind, std::size_t count) {
  std::vector<Started> started(count);
  std::vector<Task> tasks;
  for (auto& one : started) {
    one.sink = std::make_shared<Recorder>();
    tasks.push_back(task(kind, {}, one.sink));
  }
  auto answers = isolation_->start(tasks);
  for (std::size_t i = 0; i < count; ++i) started[i].run = answers.at(i).value();
  return started;
}

Outcome Host::run(std::string kind, std::string payload) {
  return start(std::move(kind), std::move(payload)).sink->wait();
}

Copies::Copies() : pid_(fork()) {
  while (pid_ == 0) pause();
  if (pid_ < 0) throw std::runtime_error("fork");
}

Copies::~Copies() {
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

KindSpec program(std::string kind, std::vector<std::string> command) {
  KindSpec spec;
  spec.kind = std::move(kind);
  spec.command = std::move(command);
  return spec;
}

bool eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

namespace {
std::size_t entries(pid_t pid, const char* folder) {
  std::error_code error;
  const std::filesystem::directory_iterator all(
      "/proc/" + std::to_string(pid) + "/" + folder, error);
  return error ? 0 : static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
}  // namespace

int status_in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::size_t open_descriptors(pid_t pid) { return entries(pid, "fd"); }
std::size_t threads_of(pid_t pid) { return entries(pid, "task"); }

std::vector<pid_t> children_of(pid_t pid) {
  const auto name = std::to_string(pid);
  std::ifstream file("/proc/" + name + "/task/" + name + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

pid_t parent_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  pid_t parent = 0;
  for (std::string word; file >> word;) {
    if (word == "PPid:" && file >> parent) break;
  }
  return parent;
}

char state_of(pid_t pid) {
  const std::string text = text_of_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = text.rfind(") ");
  return name_end == std::string::npos ? '\0' : text.at(name_end + 2);
}

bool sleeps(pid_t pid) { return state_of(pid) == 'S'; }

bool exists(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  const auto name_end = text.rfind(") ");
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 2));
  char state = 0;
  fields >> state;
  std::string skipped;
  for (int field = 4; field < 20; ++field) fields >> skipped;
  int threads = 0;
  fields >> threads;
  // A first thread that has ended is shown as a zombie while others still hold its files.
  return (state != 'Z' && state != 'X') || threads > 1;
}

std::uint64_t memory_in_use() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  return resident_bytes_of(getpid());
#endif
}

namespace {

// A line of a file of /proc that is in KiB.
std::uint64_t bytes_in(const char* name, const std::string& line) {
  std::ifstream file(name);
  std::uint64_t kib = 0;
  for (std::string word; file >> word;) {
    if (word == line && file >> kib) break;
  }
  return kib << 10;
}

}  // namespace

// 5: the peak is what is resident now (proc(5)).
Growth::Growth() : before_(0) {
  std::ofstream("/proc/self/clear_refs") << "5";
  before_ = bytes_in("/proc/self/status", "VmHWM:");
}

// The kernel sums up what each thread has only now and then.
std::uint64_t Growth::most() const {
  return std::max(bytes_in("/proc/self/status", "VmHWM:"), before_) - before_;
}

std::uint64_t available_bytes() { return bytes_in("/proc/meminfo", "MemAvailable:"); }

std::string text_of_file(const std::string& name) {
  const std::ifstream file(name);
  std::ostringstream text;
  text << file.rdbuf();  // takes an error for the end: a process may end as it is read
  return text.str();
}

bool become_ordinary(unsigned user) {
  if (geteuid() != 0) return true;
  return setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 &&
         setresuid(user, user, user) == 0;
}

std::uint64_t resident_bytes_of(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace carrel::test
