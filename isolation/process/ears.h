// The host's ends of many children's sockets, listened to together.
//
// One set for all of a channel's forked children: a child costs one system call when it
// comes, and nothing when it goes, for a descriptor that is closed leaves the set.
//
// Threads: open() before all else, in any; add() in any; the rest on the reactor.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "os.h"

namespace carrel::process {

class Ears {
 public:
  explicit Ears(boost::asio::io_context& context) : set_(context) {}
  ~Ears() { close(); }

  // False, with errno: this process has no descriptor left for it, and nothing is heard.
  bool open();
  // From now on: `heard` has the children that said something, or have ended, since it
  // was called last. It must read what there is, for it is told of no byte twice; a child
  // that is gone by then may still be named.
  // While it waits for that, it keeps `owner` alive.
  void listen(const std::shared_ptr<void>& owner,
              std::function<void(std::span<const std::uint64_t>)> heard);
  // False, with errno: the kernel had no room for it.
  bool add(std::uint64_t child, int socket) noexcept;
  void close() noexcept;

 private:
  void wait();

  UniqueFd fd_;  // lives as long as this: add() may come beside close()
  boost::asio::posix::stream_descriptor set_;
  std::weak_ptr<void> owner_;
  std::function<void(std::span<const std::uint64_t>)> heard_;
};

}  // namespace carrel::process
