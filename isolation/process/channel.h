// The host's end of one channel to the process server: requests out, replies in.
//
// Threads: start() and signal() from any; they never block. Replies, and every call of a
// ChildRun, happen on the reactor.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "child_run.h"
#include "ears.h"
#include "os.h"
#include "wire.h"

namespace carrel::process {

// One request, with what the child is to be given.
struct Launch {
  std::shared_ptr<ChildRun> run;
  RequestHead head;  // inline_bytes, fds and body_in_file are filled in by start()
  std::string body;
  std::vector<UniqueFd> fds;
};

// A child to be forked. What is sent to it before that it finds when it is born.
struct Birth {
  std::uint64_t child = 0;
  UniqueFd socket;  // the child's end
};

// Hears of the forked children of a channel that run nothing. Called on the reactor.
class Nursery {
 public:
  virtual ~Nursery() = default;
  // Returns when every child that was given a job before this call is attached to it.
  virtual void settle() = 0;
  // kBirths.
  virtual void born() = 0;
  // kEnded or kNotForked. False: it has not this child, which may run a job by now.
  virtual bool gone(const Reply& reply) = 0;
  virtual void lost() = 0;  // the server died, and all of them with it
};

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  // On a socket from connect(); it lives as long as its owner and its runs do.
  static std::shared_ptr<Channel> open(boost::asio::io_context& context, UniqueFd socket);
  Channel(boost::asio::io_context& context, UniqueFd socket);
  ~Channel() { hang_up(); }

  // Before the first fork(), which follows in any case; held weakly.
  void set_nursery(std::weak_ptr<Nursery> nursery);
  // Asks for these children. Nothing where the server has died.
  void fork(std::span<Birth> births);
  // What is said on `socket`, this end of the child's, is told to the run that is
  // attached to it. False: errno says why; ESRCH: the server has died. Not by two threads
  // at once.
  bool listen_to(std::uint64_t child, int socket);
  // The child with the run's number runs it now: what is heard of it goes to the run.
  // False: the server has died, and nothing will be.
  bool attach(const std::shared_ptr<ChildRun>& run);
  // The child runs nothing any more. False: it was told to end, or has ended. Else it got
  // no signal for this run, and will get none.
  bool detach(std::uint64_t child);
  // Likewise; whether it was told to end or not, only the nursery hears of its end.
  void forget(std::uint64_t child);

  // Sends the requests, in few messages. False: the server has died; nothing was done,
  // and the launches are as they were. A run whose request cannot be made is refused.
  bool start(std::span<Launch> launches);
  void signal(const ChildRun& run, int signal, bool group) noexcept;
  // Of a child that no run is attached to: with its group, and what it left if it has
  // ended.
  void kill(std::uint64_t child) noexcept;
  // No run is left: nothing is read any more.
  void close() noexcept;

  bool dead() const;
  boost::asio::io_context& context() noexcept { return context_; }

 private:
  struct Packet {
    std::string bytes;
    std::vector<UniqueFd> fds;
  };
  // How long a run is left alone before its descriptors are watched: most end sooner,
  // and all that they said is read then, at once.
  static constexpr auto kYoung = std::chrono::milliseconds(4);

  void listen();
  void receive();
  void die();
  void hang_up() noexcept;
  void settle(const Reply& reply);
  bool hear_children();  // from now on; false: it cannot yet
  void hear(std::span<const std::uint64_t> children);
  std::shared_ptr<ChildRun> find_run(std::uint64_t child) const;
  void cork();
  void uncork();
  std::shared_ptr<ChildRun> take_run(const Reply& reply);
  // With the mutex held.
  Packet& packet_for(std::size_t bytes, std::size_t fds);
  void ask_signal(std::uint64_t child, int signal, bool group);
  void send_all();
  void flush_later(bool when_writable);
  void watch_young();
  void schedule_young();

  boost::asio::io_context& context_;
  boost::asio::posix::stream_descriptor socket_;
  const std::size_t longest_;  // message
  boost::asio::steady_timer retry_;
  boost::asio::steady_timer young_timer_;
  Ears ears_;
  bool hears_ = false;  // of set_nursery() and listen_to()

  mutable std::mutex mutex_;
  bool dead_ = false;
  bool corked_ = false;  // replies are being handled: what they start goes out together
  bool flushing_ = false;
  bool young_scheduled_ = false;
  std::weak_ptr<Nursery> nursery_;
  std::unordered_map<std::uint64_t, std::shared_ptr<ChildRun>> runs_;
  std::unordered_set<std::uint64_t> signalled_;  // of those
  std::deque<Packet> outbox_;
  std::deque<std::pair<std::chrono::steady_clock::time_point, std::weak_ptr<ChildRun>>>
      young_;
};

}  // namespace carrel::process
