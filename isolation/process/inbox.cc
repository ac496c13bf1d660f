#include "inbox.h"

#include <cstring>
#include <span>

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
    if (whole > buffer_.size()) return false;  // cannot be: the host bounds it
    if (size_ < whole) {
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
    // Nothing but its stop can follow it yet.
    out.stopped = size_ >= whole + sizeof head;
    size_ = 0;
    return true;
  }
}

void Inbox::drop(std::size_t bytes) {
  size_ -= bytes;
  std::memmove(buffer_.data(), buffer_.data() + bytes, size_);
}

bool Inbox::fill() {
  receive_message(socket_, std::span(buffer_).subspan(size_), received_, true);
  for (std::size_t i = 0; i < received_.fd_count; ++i) file_.reset(received_.fds[i]);
  if (received_.size > 0) size_ += static_cast<std::size_t>(received_.size);
  return received_.size > 0;
}

}  // namespace carrel::process
