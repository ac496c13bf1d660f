#include "hook_line.h"

#include <iterator>
#include <utility>

#include "finish.h"
#include "hooks.h"
#include "threads.h"

namespace carrel {

HookLine::HookLine(Hooks hooks, LogFn log)
    : hooks_(std::move(hooks)), log_(std::move(log)) {}

HookLine::~HookLine() { stop(); }

void HookLine::start(std::function<void()> told) {
  if (!any()) return;
  told_ = std::move(told);
  thread_ = named_thread("carrel-hook", [this] { work(); });
}

void HookLine::add(std::vector<End> ends) {
  untold_ += ends.size();
  {
    const std::lock_guard lock(mutex_);
    line_.insert(line_.end(), std::make_move_iterator(ends.begin()),
                 std::make_move_iterator(ends.end()));
  }
  wake_.notify_one();
}

void HookLine::work() {
  std::vector<End> ends;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !line_.empty(); });
    if (line_.empty()) return;
    ends.swap(line_);
    lock.unlock();
    for (End& end : ends) {
      const Event event{end.run->job, end.run->known_outcome(), end.verdict, end.state};
      tell(hooks_.finished, log_, event);
      if (is_failure(end.verdict)) tell(hooks_.failed, log_, event);
      end.run.reset();
      {
        const std::lock_guard counted(mutex_);
        --untold_;
      }
      fewer_.notify_all();
      told_();
    }
    ends.clear();
    lock.lock();
  }
}

void HookLine::wait(std::size_t most, std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  fewer_.wait_until(lock, until, [&] { return untold_.load() <= most; });
}

void HookLine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace carrel
