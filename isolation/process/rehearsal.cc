#include "rehearsal.h"

#include <carrel/context.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "fork_child.h"
#include "os.h"
#include "server.h"
#include "wire.h"

namespace carrel::process {
namespace {

constexpr auto kWithin = std::chrono::seconds(1);
constexpr int kTurnMs = 100;

Handlers handlers_of_rehearsal() {
  Handlers handlers;
  handlers.handle("rehearsal", [](Context& job) {
    job.progress(0.5F, "half");
    return job.args();
  });
  return handlers;
}

std::string job_of_rehearsal() {
  Claimed job;
  job.kind = "rehearsal";
  job.payload = R"({"a": ["b", 1, 2.5, null, true]})";
  JobHead head;
  std::string body;
  Writer writer(body);
  encode(writer, job, std::chrono::steady_clock::now(), 1 << 20, {});
  head.bytes = static_cast<std::uint32_t>(body.size());
  body.insert(0, reinterpret_cast<const char*>(&head), sizeof head);
  return body;
}

bool send(const UniqueFd& to, std::string_view bytes, const UniqueFd* with = nullptr) {
  const int fd = with != nullptr ? with->get() : -1;
  return send_message(to.get(), bytes, {&fd, with != nullptr ? 1U : 0U}) == 0;
}

// Whether a child's end is told of there.
bool end_is_told(const UniqueFd& channel) {
  Reply replies[4];
  const ssize_t size = recv(channel.get(), replies, sizeof replies, MSG_DONTWAIT);
  for (std::size_t i = 0; size > 0 && i < static_cast<std::size_t>(size) / sizeof(Reply);
       ++i) {
    if (replies[i].what != Reply::What::kBirths) return true;
  }
  return false;
}

void rehearse_server(const Handlers& handlers, const std::string& job) {
  FdPair control = socket_pair(SOCK_SEQPACKET);
  FdPair channel = socket_pair(SOCK_SEQPACKET);
  FdPair child = socket_pair(SOCK_STREAM);
  UniqueFd host(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!control.first || !channel.first || !child.first || !host) return;
  RequestHead head;
  head.ask = Ask::kFork;
  head.fds = 1;
  head.run = kFirstForked;
  const std::string_view request(reinterpret_cast<const char*>(&head), sizeof head);
  if (!send(control.first, kChannelMark, &channel.second) ||
      !send(channel.first, request, &child.second) || !send(child.first, job)) {
    return;
  }
  channel.second.reset();
  child.second.reset();
  Server server(std::move(control.second), std::move(host), handlers);
  const auto until = std::chrono::steady_clock::now() + kWithin;
  while (!end_is_told(channel.first) && std::chrono::steady_clock::now() < until) {
    server.turn(kTurnMs);
  }
  // The child may have a copy of it.
  shutdown(channel.first.get(), SHUT_RDWR);
  server.turn(kTurnMs);  // kills what has not ended
}

}  // namespace

void rehearse() {
  const Handlers handlers = handlers_of_rehearsal();
  const std::string job = job_of_rehearsal();
  {
    const FdPair ends = socket_pair(SOCK_STREAM);
    if (!ends.first || !send(ends.second, job)) return;
    run_here(handlers, ends.first.get());
  }
  rehearse_server(handlers, job);
}

}  // namespace carrel::process
