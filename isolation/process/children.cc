#include "children.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <string>

namespace carrel::process {

ChildList::ChildList() : ChildList("/proc/self/task/" + std::to_string(gettid())) {}

ChildList::ChildList(const std::string& thread)
    : file_(open((thread + "/children").c_str(), O_RDONLY | O_CLOEXEC)), text_(4096) {}

void ChildList::read(std::vector<pid_t>& out) {
  out.clear();
  std::size_t size = 0;
  for (;;) {
    const ssize_t n = pread(file_.get(), text_.data() + size, text_.size() - size,
                            static_cast<off_t>(size));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size += static_cast<std::size_t>(n);
    // The kernel fills a page at a time, so room that is left says that this was all.
    if (size + 1024 < text_.size()) break;
    if (size == text_.size()) text_.resize(2 * text_.size());
  }
  const char* at = text_.data();
  const char* const end = at + size;
  while (at < end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc{}) break;
    out.push_back(pid);
    at = next + (next < end ? 1 : 0);
  }
}

std::vector<pid_t> ChildList::all_below() {
  std::vector<pid_t> found;
  std::vector<pid_t> children;
  ChildList().read(found);
  // Whoever bears children as fast as they are looked at is looked at again later.
  constexpr std::size_t kMost = 1U << 14;
  for (std::size_t i = 0; i < std::min(found.size(), kMost); ++i) {
    // A child is in the list of the thread that forked it.
    const std::string threads = "/proc/" + std::to_string(found[i]) + "/task";
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(threads.c_str()), closedir);
    while (const dirent* entry = folder ? readdir(folder.get()) : nullptr) {
      if (entry->d_name[0] == '.') continue;
      ChildList(threads + "/" + entry->d_name).read(children);
      found.insert(found.end(), children.begin(), children.end());
    }
  }
  return found;
}

void kill_child(pid_t pid) {
  const pid_t group = getpgid(pid);
  if (group > 1 && group != getpgrp()) kill(-group, SIGKILL);
  kill(pid, SIGKILL);
}

void kill_all_children(ChildList& list) {
  std::vector<pid_t> children;
  for (;;) {
    if (list.available()) list.read(children);
    for (const pid_t pid : children) kill_child(pid);
    // Each that ends may leave children of its own to this process.
    const pid_t ended = waitpid(-1, nullptr, __WALL);
    if (ended < 0 && errno != EINTR) return;
    while (waitpid(-1, nullptr, __WALL | WNOHANG) > 0) {
    }
  }
}

}  // namespace carrel::process
