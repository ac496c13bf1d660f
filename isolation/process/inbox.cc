#include "inbox.h"

#include <poll.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace carrel::process {

bool Inbox::next(Next& out) {
  for (;;) {
    JobHead head;
    if (size_ < sizeof head) {
      if (!fill()) return false;
      continue;
    }
    std::memcpy(&head, buffer_.data(), sizeof head);
    if (head.what == JobHead::What::kStop) {  // for a job that has ended
      drop(sizeof head);
      continue;
    }
    const std::size_t whole = sizeof head + head.bytes;
    if (head.bytes > kMaxInline) return false;  // cannot be: the host bounds it
    // Nothing but its stop can follow it yet, of which no part may stay behind.
    const std::size_t with_stop = whole + sizeof head;
    if (size_ < whole || (size_ > whole && size_ < with_stop)) {
      make_room(with_stop);
      if (!fill()) return false;
      continue;
    }
    out.head = head;
    out.body = {buffer_.data() + sizeof head, head.bytes};
    if (head.in_file) {
      if (!read_memory_file(file_.get(), text_)) return false;
      file_.reset();
      out.body = text_;
    }
    out.stopped = size_ >= with_stop;
    size_ = 0;
    answered_ = true;
    return true;
  }
}

void Inbox::drop(std::size_t bytes) {
  size_ -= bytes;
  std::memmove(buffer_.data(), buffer_.data() + bytes, size_);
}

void Inbox::make_room(std::size_t bytes) {
  if (bytes <= buffer_.size()) return;
  std::vector<char> larger(bytes);
  std::memcpy(larger.data(), buffer_.data(), size_);
  large_ = std::move(larger);
  buffer_ = large_;
}

bool Inbox::fill() {
  // The host reads the last answer about now, which the kernel tells whoever sleeps on
  // this end: a read would wake up for it, a poll does not.
  pollfd readable{socket_, POLLIN, 0};
  while (answered_ && poll(&readable, 1, -1) < 0 && errno == EINTR) {
  }
  receive_message(socket_, buffer_.subspan(size_), received_, true);
  for (std::size_t i = 0; i < received_.fd_count; ++i) file_.reset(received_.fds[i]);
  if (received_.size > 0) size_ += static_cast<std::size_t>(received_.size);
  return received_.size > 0;
}

}  // namespace carrel::process
