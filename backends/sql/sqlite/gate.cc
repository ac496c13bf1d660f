#include "gate.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <system_error>

#include "error.h"
#include "threads.h"
#include "unshared_file.h"

namespace carrel::sql::sqlite {
namespace {

// 0 or errno.
template <class Call>
int insist(Call call) noexcept {
  int result = 0;
  do {
    result = call();
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

// The first byte, locked: the head of the line. It belongs to the open file, as flock
// does, and ends with it. Who may only read the file stands in no line. 0 or errno.
int stand(int fd, bool waits) noexcept {
  struct flock head = {};
  head.l_type = F_WRLCK;
  head.l_whence = SEEK_SET;
  head.l_len = 1;
  const int command = waits ? F_OFD_SETLKW : F_OFD_SETLK;
  const int error = insist([&] { return ::fcntl(fd, command, &head); });
  if (error == EBADF) return 0;
  return error == EAGAIN || error == EACCES ? EWOULDBLOCK : error;
}

void leave(int fd) noexcept {
  struct flock head = {};
  head.l_type = F_UNLCK;
  head.l_whence = SEEK_SET;
  head.l_len = 1;
  ::fcntl(fd, F_OFD_SETLK, &head);
}

// From the head of the line, which is left once the gate is taken. An flock that ends is
// had by who asks first, which is seldom who has waited: nobody asks but from here.
int take(int fd, bool waits) noexcept {
  const int flags = LOCK_EX | (waits ? 0 : LOCK_NB);
  const int error = insist([&] { return ::flock(fd, flags); });
  if (error == 0) leave(fd);
  return error;
}

}  // namespace

// flock has no time-out, so where the gate is closed a helper thread stands in the line,
// and the owner can go away from it. The helper may outlive the gate: it holds the line.
struct Gate::Line {
  enum class Helper : std::uint8_t {
    kNone,    // no thread
    kInLine,  // waits in flock
    kDone,    // has the lock for the owner, who has not noticed yet
  };

  explicit Line(std::string p) : path(std::move(p)) {}

  const std::string path;
  UnsharedFile file;
  std::mutex mutex;
  std::condition_variable changed;
  Helper helper = Helper::kNone;
  bool wanted = false;  // the owner still waits for the helper
  int error = 0;        // errno of the helper's flock
};

Result<Gate> Gate::open(std::string path) {
  auto line = std::make_shared<Line>(std::move(path));
  const char* const name = line->path.c_str();
  int error = line->file.open(name, O_RDWR | O_CREAT, 0644) ? 0 : errno;
  // Where it may only be read; where it is not there, it could not be made.
  if (error == EACCES && line->file.open(name, O_RDONLY, 0)) error = 0;
  if (error != 0) {
    // What a person has named is the file that it is beside.
    return fail(code_of_errno(error),
                line->path.substr(0, line->path.rfind('-')) +
                    ": cannot be opened: " + line->path + ": " + std::strerror(error),
                kOrigin, error);
  }
  return Gate(std::move(line));
}

Gate::Gate(std::shared_ptr<Line> line) : line_(std::move(line)) {}
Gate::Gate(Gate&&) noexcept = default;

Gate::~Gate() {
  if (!line_) return;
  const std::lock_guard lock(line_->mutex);
  line_->wanted = false;
}

void Gate::wait_in(const std::shared_ptr<Line>& line) noexcept {
  const int fd = line->file.fd();
  int error = stand(fd, true);  // perhaps it does already
  if (error == 0) error = take(fd, true);
  if (error != 0) leave(fd);
  const std::lock_guard lock(line->mutex);
  line->error = error;
  if (line->wanted) {
    line->helper = Line::Helper::kDone;
    line->changed.notify_all();
    return;
  }
  line->helper = Line::Helper::kNone;
  if (error == 0) ::flock(line->file.fd(), LOCK_UN);
}

Result<void> Gate::lock(Duration patience) {
  Line& line = *line_;
  std::unique_lock lock(line.mutex);
  const auto broken = [&](int error) {
    return fail(Code::kUnavailable, line.path + ": flock: " + std::strerror(error),
                "sqlite", error);
  };
  // A helper of an earlier call may still stand in line. The lock is one for both: taken
  // past the helper, it would be given back by it.
  if (line.helper == Line::Helper::kNone) {
    const int fd = line.file.fd();
    int error = stand(fd, false);
    if (error == 0) error = take(fd, false);
    if (error == 0) return {};
    // Who is at the head of the line stays there, for its helper.
    try {
      if (error == EWOULDBLOCK) {
        named_thread("carrel-gate", [held = line_] { wait_in(held); }).detach();
        error = 0;
      }
    } catch (const std::system_error& e) {
      error = e.code().value();
    }
    if (error != 0) {
      leave(fd);
      return broken(error);
    }
    line.helper = Line::Helper::kInLine;
  }
  line.wanted = true;
  line.changed.wait_for(lock, patience,
                        [&] { return line.helper == Line::Helper::kDone; });
  line.wanted = false;
  if (line.helper != Line::Helper::kDone) {
    return fail(Code::kUnavailable,
                line.path +
                    ": another process has been writing for longer than "
                    "busy_timeout",
                "sqlite", EWOULDBLOCK);
  }
  line.helper = Line::Helper::kNone;
  if (line.error != 0) return broken(line.error);
  return {};
}

void Gate::unlock() noexcept { ::flock(line_->file.fd(), LOCK_UN); }

}  // namespace carrel::sql::sqlite
