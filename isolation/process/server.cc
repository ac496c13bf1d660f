#include "server.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "../sandbox/room.h"
#include "fork_child.h"
#include "spawner.h"

namespace carrel::process {
namespace {

constexpr std::size_t kReceive = 64 * 1024;
constexpr std::size_t kRepliesPerMessage = 64;
constexpr auto kRoomLinger = std::chrono::seconds(10);
constexpr int kHoldMs = 1;

UniqueFd child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

std::uint64_t microseconds(const timeval& t) {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(t.tv_usec);
}

// A forked child that ended well has mostly said so itself before.
bool can_wait(const Reply& reply) {
  return reply.what == Reply::What::kReady ||
         (reply.what == Reply::What::kEnded && reply.run >= kFirstForked &&
          reply.status == 0);
}

// Beside stdio.
void close_all_but(int fd) {
  close_range(3, static_cast<unsigned>(fd) - 1, 0);
  close_range(static_cast<unsigned>(fd) + 1, ~0U, 0);
}

}  // namespace

Server::Server(UniqueFd control, UniqueFd host, const Handlers& handlers)
    : control_(std::move(control)),
      host_(std::move(host)),
      signals_(child_signals()),
      handlers_(handlers),
      pid_(getpid()),
      buffer_(kReceive) {
  sigemptyset(&no_signals_);
}

void Server::run() {
  std::vector<pollfd> polled;
  for (;;) {
    polled = {{signals_.get(), POLLIN, 0},
              {control_.get(), POLLIN, 0},
              {host_.get(), POLLIN, 0}};
    for (const auto& client : clients_) {
      const short events = client.stuck ? POLLIN | POLLOUT : POLLIN;
      polled.push_back({client.socket.get(), events, 0});
    }
    if (poll(polled.data(), polled.size(), poll_timeout()) < 0) continue;
    if (polled[2].revents != 0) end_all();
    if (polled[0].revents != 0) reap();
    if (!linger_.empty() && linger_timeout() == 0) survey();
    for (std::size_t i = 3; i < polled.size(); ++i) {
      Client& client = clients_[i - 3];
      if ((polled[i].revents & POLLOUT) != 0) client.stuck = false;
      if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) serve(client);
    }
    for (auto& client : clients_) flush(client);
    std::erase_if(clients_, [](const Client& client) { return client.gone; });
    if (polled[1].revents != 0) accept_client();
    // Last, one at a time: no end of a job waits to be told for a fork, and the news of
    // the child goes out with what else there is by then.
    breed();
  }
}

int Server::poll_timeout() const {
  int timeout = linger_timeout();
  for (const auto& client : clients_) {
    const bool untold = !client.replies.empty() && !client.stuck;
    if (client.wanted > 0 || (untold && !held_back(client))) return 0;
    if (untold && (timeout < 0 || timeout > kHoldMs)) timeout = kHoldMs;
  }
  return timeout;
}

void Server::tell(Client& client, const Reply& reply) {
  if (client.replies.empty()) {
    client.hold_until = Clock::now() + std::chrono::milliseconds(kHoldMs);
  }
  client.urgent = client.urgent || !can_wait(reply);
  client.replies.push_back(reply);
}

bool Server::held_back(const Client& client) {
  const bool complete = client.wanted == 0 && !client.reply_fds.empty();
  return !client.hurry && !client.urgent && !complete && Clock::now() < client.hold_until;
}

int Server::linger_timeout() const {
  if (linger_.empty()) return -1;
  auto first = Clock::time_point::max();
  for (const auto& [session, until] : linger_) first = std::min(first, until);
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 60'000));
}

void Server::accept_client() {
  receive_message(control_.get(), buffer_, received_);
  if (received_.size == 0) end_all();
  if (received_.size < 0) return;
  const std::string_view what(buffer_.data(), static_cast<std::size_t>(received_.size));
  for (std::size_t i = 0; i < received_.fd_count; ++i) {
    if (what.starts_with(kRoomMark)) {
      make_room(received_.fds[i], what.substr(kRoomMark.size()));
      continue;
    }
    Client& client = clients_.emplace_back();
    client.socket.reset(received_.fds[i]);
    client.number = ++last_client_;
  }
}

void Server::make_room(int socket, std::string_view blueprint) {
  UniqueFd channel(socket);
  const pid_t pid = fork();
  if (pid > 0) rooms_.insert(pid);
  if (pid != 0) return;  // without a room the host finds its channel closed
  become_leader(pid_);
  close_all_but(socket);
  sandbox::keep_room(std::move(channel), blueprint);
}

void Server::serve(Client& client) {
  receive_message(client.socket.get(), buffer_, received_);
  if (received_.size == 0 || (received_.size < 0 && received_.error != EAGAIN)) {
    drop(client);
    return;
  }
  if (received_.size < 0) return;
  std::vector<UniqueFd> fds;
  std::size_t next_fd = 0;
  Reader in({buffer_.data(), static_cast<std::size_t>(received_.size)});
  std::string file_body;
  while (!in.done()) {
    const auto head = in.get<RequestHead>();
    std::string_view body = in.get_bytes(head.inline_bytes);
    if (!in.ok()) break;
    if (head.ask == Ask::kSignal) {
      signal_run(head);
      continue;
    }
    if (head.ask == Ask::kFork) {
      client.wanted += head.run;
      client.hurry = client.hurry || head.hurry;
      continue;
    }
    fds.clear();
    for (std::size_t i = 0; i < head.fds && next_fd < received_.fd_count; ++i) {
      fds.emplace_back(received_.fds[next_fd++]);
    }
    Reply failed{.run = head.run, .what = Reply::What::kNotForked};
    if (fds.size() < head.fds) {
      failed.error = EMFILE;  // the kernel dropped what this process had no room for
    } else if (head.body_in_file) {
      if (read_memory_file(fds.back().get(), file_body)) {
        body = file_body;
      } else {
        failed.error = EIO;
      }
      fds.pop_back();
    }
    if (failed.error != 0) {
      tell(client, failed);
    } else {
      spawn_job(client, head, body, fds);
    }
  }
  while (next_fd < received_.fd_count) UniqueFd(received_.fds[next_fd++]).reset();
}

void Server::breed() {
  for (std::size_t tried = 0; tried < clients_.size(); ++tried) {
    Client& client = clients_[next_to_breed_++ % clients_.size()];
    if (client.wanted > 0) return fork_child(client);
  }
}

void Server::fork_child(Client& client) {
  FdPair ends = socket_pair(SOCK_STREAM);
  const pid_t pid = ends.first ? fork() : -1;
  if (pid == 0) {
    become_leader(pid_);
    const bool early = !client.hurry;
    const int socket = ends.second.get();
    close_all_but(socket);
    sigprocmask(SIG_SETMASK, &no_signals_, nullptr);
    run_forked_child(handlers_, socket, early);
  }
  if (pid < 0) {
    Reply failed{.what = Reply::What::kNotForked, .error = errno};
    failed.status = static_cast<std::int32_t>(std::exchange(client.wanted, 0));
    tell(client, failed);
    return;
  }
  --client.wanted;
  const std::uint64_t number = ++last_forked_;
  adopt(pid, client, number, 0);
  tell(client, {.run = number, .what = Reply::What::kReady});
  client.reply_fds.push_back(std::move(ends.first));
}

void Server::spawn_job(Client& client, const RequestHead& head, std::string_view body,
                       std::vector<UniqueFd>& fds) {
  Reader in(body);
  Reply failed{.run = head.run, .what = Reply::What::kNotSpawned};
  if (fds.size() != 4 || !decode(in, spawn_)) {
    failed.error = EPROTO;
    tell(client, failed);
    return;
  }
  const int numbers[4] = {fds[0].get(), fds[1].get(), fds[2].get(), fds[3].get()};
  const Spawned spawned = spawn(spawn_, numbers);
  if (spawned.pid < 0) {
    failed.stage = spawned.stage;
    failed.error = spawned.error;
    if (spawned.stage == Reply::Stage::kNone) failed.what = Reply::What::kNotForked;
    tell(client, failed);
    return;
  }
  adopt(spawned.pid, client, head.run, head.drain_ms);
}

void Server::adopt(pid_t pid, const Client& client, std::uint64_t run,
                   std::uint32_t drain_ms) {
  children_[pid] = {run, client.number, drain_ms, false};
  leaders_[run] = pid;
}

void Server::signal_run(const RequestHead& head) {
  const auto it = leaders_.find(head.run);
  if (it == leaders_.end()) return;  // it has ended
  const pid_t pid = it->second;
  if (head.signal == SIGKILL) children_[pid].killed = true;
  // It may not lead its group yet.
  if (!head.group || kill(-pid, head.signal) != 0) kill(pid, head.signal);
}

void Server::reap() {
  signalfd_siginfo info[4];
  while (read(signals_.get(), info, sizeof info) == sizeof info) {
  }
  bool any = false;
  for (;;) {
    if (!list_.available()) {
      // Without the list, a group can be signalled safely only while its leader is a
      // zombie.
      siginfo_t who{};
      if (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 ||
          who.si_pid == 0) {
        return;
      }
      if (children_.contains(who.si_pid)) kill(-who.si_pid, SIGKILL);
    }
    int status = 0;
    rusage used{};
    const pid_t pid = wait4(-1, &status, WNOHANG | __WALL, &used);
    if (pid <= 0) break;
    any = true;
    ended(pid, status, used);
  }
  if (any) survey();
  for (const End& end : ends_) {
    if (Client* client = find_client(end.child.client)) tell(*client, end.reply);
  }
  ends_.clear();
}

void Server::ended(pid_t pid, int status, const rusage& used) {
  const auto it = children_.find(pid);
  if (it == children_.end()) {
    // A room, whose last process cleans up after it; or something that a job left behind.
    if (rooms_.erase(pid) > 0) linger_[pid] = Clock::now() + kRoomLinger;
    return;
  }
  const Child child = it->second;
  children_.erase(it);
  leaders_.erase(child.run);
  if (child.drain_ms > 0 && !child.killed) {
    linger_[pid] = Clock::now() + std::chrono::milliseconds(child.drain_ms);
  }
  Reply reply{.run = child.run, .what = Reply::What::kEnded, .status = status};
  reply.cpu_us = microseconds(used.ru_utime) + microseconds(used.ru_stime);
  reply.max_rss_kib = static_cast<std::uint64_t>(used.ru_maxrss);
  ends_.push_back({pid, child, reply});
}

// What is killed together with its leader was not left by it.
void Server::note_leftover(pid_t session, pid_t group) {
  for (End& end : ends_) {
    if (end.leader != session || (end.child.killed && group == session)) continue;
    end.reply.force |= Reply::kLeftovers;
  }
}

void Server::survey() {
  if (!list_.available()) {
    linger_.clear();
    return;
  }
  list_.read(listed_);
  bool lingering = false;
  for (const pid_t pid : listed_) {
    if (children_.contains(pid) || rooms_.contains(pid)) continue;
    const pid_t session = getsid(pid);
    if (children_.contains(session)) continue;  // its job is still running
    const pid_t group = getpgid(pid);
    note_leftover(session, group);
    if (may_linger(session)) {
      lingering = true;
      continue;
    }
    // This process alone can reap it, so neither its pid nor its group is another's yet.
    if (group > 1 && !children_.contains(group)) kill(-group, SIGKILL);
    kill(pid, SIGKILL);
  }
  if (!lingering) linger_.clear();
}

bool Server::may_linger(pid_t session) {
  const auto it = linger_.find(session);
  if (it == linger_.end()) return false;
  if (Clock::now() < it->second) return true;
  linger_.erase(it);
  return false;
}

void Server::flush(Client& client) {
  if (client.replies.empty() || held_back(client)) return;
  client.urgent = false;
  if (client.wanted == 0) client.hurry = false;
  while (!client.replies.empty() && !client.stuck && !client.gone) {
    const auto count =
        static_cast<std::ptrdiff_t>(std::min(client.replies.size(), kRepliesPerMessage));
    const std::span told(client.replies.data(), static_cast<std::size_t>(count));
    int fds[kRepliesPerMessage];
    std::size_t fd_count = 0;
    for (const Reply& reply : told) {
      if (reply.what != Reply::What::kReady) continue;
      fds[fd_count] = client.reply_fds[fd_count].get();
      ++fd_count;
    }
    const std::string_view bytes(reinterpret_cast<const char*>(told.data()),
                                 told.size_bytes());
    int error = send_message(client.socket.get(), bytes, {fds, fd_count});
    // Too many descriptors of this user are under way. The host does without these: it
    // is told so by their lack, and the children end, for nobody holds their sockets.
    if (error == ETOOMANYREFS) error = send_message(client.socket.get(), bytes, {});
    if (error == EAGAIN || error == ENOBUFS) {
      client.stuck = true;
    } else if (error != 0) {
      drop(client);
    } else {
      client.replies.erase(client.replies.begin(), client.replies.begin() + count);
      client.reply_fds.erase(
          client.reply_fds.begin(),
          client.reply_fds.begin() + static_cast<std::ptrdiff_t>(fd_count));
    }
  }
}

void Server::drop(Client& client) {
  client.gone = true;
  client.wanted = 0;
  client.replies.clear();
  client.reply_fds.clear();
  for (auto& [pid, child] : children_) {
    if (child.client != client.number) continue;
    child.killed = true;
    if (kill(-pid, SIGKILL) != 0) kill(pid, SIGKILL);
  }
}

Server::Client* Server::find_client(std::uint32_t number) {
  for (auto& client : clients_) {
    if (client.number == number && !client.gone) return &client;
  }
  return nullptr;
}

void Server::end_all() {
  kill_all_children(list_);
  _exit(0);
}

}  // namespace carrel::process
