#include "channel.h"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>

namespace carrel::process {
namespace {

constexpr unsigned kMessages = 16;
constexpr std::size_t kMessageSize = 64 * sizeof(Reply);
using WaitType = boost::asio::posix::descriptor_base::wait_type;

}  // namespace

std::shared_ptr<Channel> Channel::open(boost::asio::io_context& context,
                                       UniqueFd socket) {
  auto channel = std::make_shared<Channel>(context, std::move(socket));
  boost::asio::post(context, [channel] { channel->listen(); });
  return channel;
}

Channel::Channel(boost::asio::io_context& context, UniqueFd socket)
    : context_(context),
      socket_(context),
      longest_(std::min(kMaxMessage, longest_message(socket.get()))),
      retry_(context),
      young_timer_(context),
      ears_(context) {
  socket_.assign(socket.get());  // throws; until then it is closed here
  socket.release();
}

bool Channel::dead() const {
  std::lock_guard lock(mutex_);
  return dead_;
}

bool Channel::start(std::span<Launch> launches) {
  std::vector<std::pair<std::shared_ptr<ChildRun>, int>> refused;
  {
    std::lock_guard lock(mutex_);
    if (dead_) return false;
    const auto now = std::chrono::steady_clock::now();
    for (auto& launch : launches) {
      launch.head.run = launch.run->number();
      launch.head.body_in_file =
          launch.body.size() > std::min(kMaxInline, longest_ - sizeof launch.head);
      if (launch.head.body_in_file) {
        UniqueFd file = memory_file(launch.body);
        if (!file) {
          refused.emplace_back(std::move(launch.run), errno);
          continue;
        }
        launch.fds.push_back(std::move(file));
        launch.body.clear();
      }
      launch.head.inline_bytes = static_cast<std::uint32_t>(launch.body.size());
      launch.head.fds = static_cast<std::uint8_t>(launch.fds.size());
      Packet& packet =
          packet_for(sizeof launch.head + launch.body.size(), launch.fds.size());
      Writer(packet.bytes).put(launch.head);
      packet.bytes += launch.body;
      for (auto& fd : launch.fds) packet.fds.push_back(std::move(fd));
      young_.emplace_back(now, launch.run);
      runs_.emplace(launch.head.run, std::move(launch.run));
    }
    if (!corked_) send_all();
    schedule_young();
  }
  for (auto& [run, error] : refused) {
    run->refuse(
        OutcomeClass::kResourceError,
        {Code::kUnavailable, "no memory for the job's payload: " + errno_text(error),
         "process", error});
  }
  return true;
}

void Channel::set_nursery(std::weak_ptr<Nursery> nursery) {
  {
    std::lock_guard lock(mutex_);
    nursery_ = std::move(nursery);
  }
  hear_children();
}

// Without a descriptor for it each child is told to be one too many, until there is one.
bool Channel::hear_children() {
  {
    std::lock_guard lock(mutex_);
    if (dead_) {
      errno = ESRCH;
      return false;
    }
    if (!ears_.open()) return false;
  }
  hears_ = true;
  boost::asio::post(context_, [self = shared_from_this(), this] {
    ears_.listen(self, [this](auto children) { hear(children); });
  });
  return true;
}

bool Channel::listen_to(std::uint64_t child, int socket) {
  return (hears_ || hear_children()) && ears_.add(child, socket);
}

void Channel::fork(std::span<Birth> births) {
  std::lock_guard lock(mutex_);
  if (dead_) return;
  for (Birth& birth : births) {
    RequestHead head;
    head.ask = Ask::kFork;
    head.fds = 1;
    head.run = birth.child;
    Packet& packet = packet_for(sizeof head, 1);
    Writer(packet.bytes).put(head);
    packet.fds.push_back(std::move(birth.socket));
  }
  if (!corked_) send_all();
}

bool Channel::attach(const std::shared_ptr<ChildRun>& run) {
  std::lock_guard lock(mutex_);
  if (!dead_) runs_.emplace(run->number(), run);
  return !dead_;
}

bool Channel::detach(std::uint64_t child) {
  std::lock_guard lock(mutex_);
  return !signalled_.contains(child) && runs_.erase(child) > 0;
}

void Channel::forget(std::uint64_t child) {
  std::lock_guard lock(mutex_);
  runs_.erase(child);
  signalled_.erase(child);
}

void Channel::signal(const ChildRun& run, int number, bool group) noexcept {
  std::lock_guard lock(mutex_);
  const auto it = runs_.find(run.number());
  // The child may run another job by now.
  if (dead_ || it == runs_.end() || it->second.get() != &run) return;
  signalled_.insert(it->first);
  ask_signal(it->first, number, group);
}

void Channel::kill(std::uint64_t child) noexcept {
  std::lock_guard lock(mutex_);
  if (!dead_) ask_signal(child, SIGKILL, true);
}

void Channel::ask_signal(std::uint64_t child, int number, bool group) {
  RequestHead head;
  head.ask = Ask::kSignal;
  head.run = child;
  head.signal = number;
  head.group = group;
  Writer(packet_for(sizeof head, 0).bytes).put(head);
  if (!corked_) send_all();
}

// The last packet that waits, if there is room in it.
Channel::Packet& Channel::packet_for(std::size_t bytes, std::size_t fds) {
  if (outbox_.empty() || outbox_.back().bytes.size() + bytes > longest_ ||
      outbox_.back().fds.size() + fds > kMaxFds) {
    outbox_.emplace_back();
  }
  return outbox_.back();
}

void Channel::send_all() {
  if (flushing_) return;  // the order is kept: what waits goes first
  while (!outbox_.empty()) {
    const Packet& packet = outbox_.front();
    std::array<int, kMaxFds> numbers;
    for (std::size_t i = 0; i < packet.fds.size(); ++i) numbers[i] = packet.fds[i].get();
    const int error = send_message(socket_.native_handle(), packet.bytes,
                                   std::span(numbers).first(packet.fds.size()));
    // Full, or too many descriptors of this user are under way.
    if (error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS) {
      flush_later(error == EAGAIN);
      return;
    }
    // Any other error is the server's end, which the reading side tells.
    outbox_.pop_front();
  }
}

void Channel::flush_later(bool when_writable) {
  flushing_ = true;
  const auto again = [self = shared_from_this()](const boost::system::error_code& error) {
    std::lock_guard lock(self->mutex_);
    self->flushing_ = false;
    if (!error && !self->dead_) self->send_all();
  };
  boost::asio::post(context_, [self = shared_from_this(), when_writable, again] {
    if (when_writable) {
      self->socket_.async_wait(WaitType::wait_write, again);
    } else {
      self->retry_.expires_after(std::chrono::milliseconds(2));
      self->retry_.async_wait(again);
    }
  });
}

void Channel::listen() {
  socket_.async_wait(WaitType::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (!error) self->receive();
                     });
}

void Channel::receive() {
  std::array<std::array<char, kMessageSize>, kMessages> buffers;
  std::array<iovec, kMessages> parts;
  std::array<mmsghdr, kMessages> messages{};
  for (unsigned i = 0; i < kMessages; ++i) {
    parts[i] = {buffers[i].data(), buffers[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = recvmmsg(socket_.native_handle(), messages.data(), kMessages,
                             MSG_DONTWAIT, nullptr);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return listen();
  if (count < 0) return die();
  cork();
  bool end = false;
  for (int i = 0; i < count; ++i) {
    const std::size_t size = messages[i].msg_len;
    end = end || size == 0;
    for (std::size_t at = 0; at + sizeof(Reply) <= size; at += sizeof(Reply)) {
      Reply reply;
      std::memcpy(&reply, buffers[i].data() + at, sizeof reply);
      settle(reply);
    }
  }
  if (end) return die();
  uncork();
  listen();
}

void Channel::cork() {
  std::lock_guard lock(mutex_);
  corked_ = true;
}

void Channel::uncork() {
  std::lock_guard lock(mutex_);
  corked_ = false;
  if (!dead_) send_all();
}

void Channel::hear(std::span<const std::uint64_t> children) {
  cork();
  // Their ends are told together: one commit, and one claim of the jobs that follow.
  std::vector<std::shared_ptr<ChildRun>> ended;
  for (const std::uint64_t child : children) {
    auto run = find_run(child);
    if (!run) {
      std::shared_ptr<Nursery> nursery;
      {
        std::lock_guard lock(mutex_);
        nursery = nursery_.lock();
      }
      // Idle, and it ends; or it answered a job before it was attached to it.
      if (nursery) nursery->settle();
      run = find_run(child);
    }
    if (run && run->heard()) ended.push_back(std::move(run));
  }
  for (std::size_t i = 0; i < ended.size(); ++i) {
    if (i + 1 < ended.size()) ended[i]->expect_more_ends();
    ended[i]->tell_end();
  }
  uncork();
}

std::shared_ptr<ChildRun> Channel::find_run(std::uint64_t child) const {
  std::lock_guard lock(mutex_);
  const auto it = runs_.find(child);
  return it == runs_.end() ? nullptr : it->second;
}

void Channel::settle(const Reply& reply) {
  if (const auto run = take_run(reply)) return run->ended(reply);
  std::shared_ptr<Nursery> nursery;
  {
    std::lock_guard lock(mutex_);
    nursery = nursery_.lock();
  }
  if (!nursery) return;
  if (reply.what == Reply::What::kBirths) return nursery->born();
  if (nursery->gone(reply)) return;
  // It was given a job while this was looked up.
  if (const auto run = take_run(reply)) run->ended(reply);
}

std::shared_ptr<ChildRun> Channel::take_run(const Reply& reply) {
  std::lock_guard lock(mutex_);
  const auto it = runs_.find(reply.run);
  if (it == runs_.end()) return nullptr;
  auto run = std::move(it->second);
  runs_.erase(it);
  signalled_.erase(reply.run);
  return run;
}

void Channel::die() {
  decltype(runs_) runs;
  std::shared_ptr<Nursery> nursery;
  {
    std::lock_guard lock(mutex_);
    dead_ = true;
    runs.swap(runs_);
    outbox_.clear();
    nursery = nursery_.lock();
  }
  hang_up();
  ears_.close();
  for (auto& [number, run] : runs) run->lost();
  if (nursery) nursery->lost();
}

// Copies of the socket, in processes that the host has forked, keep nobody waiting.
void Channel::hang_up() noexcept { shutdown(socket_.native_handle(), SHUT_RDWR); }

void Channel::close() noexcept {
  boost::asio::post(context_, [self = shared_from_this()] {
    decltype(runs_) abandoned;
    std::lock_guard lock(self->mutex_);
    self->dead_ = true;
    self->outbox_.clear();
    abandoned.swap(self->runs_);  // the server kills what they left when it sees the end
    boost::system::error_code ignored;
    self->hang_up();
    self->socket_.close(ignored);
    self->ears_.close();
    self->retry_.cancel();
    self->young_timer_.cancel();
  });
}

void Channel::schedule_young() {
  if (young_scheduled_ || young_.empty()) return;
  young_scheduled_ = true;
  young_timer_.expires_at(young_.front().first + kYoung);
  young_timer_.async_wait(
      [self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->watch_young();
      });
}

void Channel::watch_young() {
  std::vector<std::shared_ptr<ChildRun>> grown;
  {
    std::lock_guard lock(mutex_);
    young_scheduled_ = false;
    if (dead_) return;
    const auto born_by = std::chrono::steady_clock::now() - kYoung;
    for (; !young_.empty(); young_.pop_front()) {
      auto run = young_.front().second.lock();
      if (run && !run->over()) {
        if (young_.front().first > born_by) break;
        grown.push_back(std::move(run));
      }
    }
    schedule_young();
  }
  for (const auto& run : grown) run->watch();
}

}  // namespace carrel::process
