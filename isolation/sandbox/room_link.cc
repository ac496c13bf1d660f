#include "room_link.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "greeting.h"
#include "process_server.h"
#include "stage.h"

namespace carrel::sandbox {

Result<RoomLink> open_room(const std::string& blueprint, std::stop_token stop) {
  auto channel = process::connect(std::string(process::kRoomMark) + blueprint, stop);
  if (!channel) {
    Error error = std::move(channel.error());
    if (error.code == Code::kInvalid) {
      error.message = "the profile has too many mounts: " + error.message;
    }
    return tl::unexpected<Error>(std::move(error));
  }
  const std::stop_callback give_up(stop,
                                   [fd = channel->get()] { shutdown(fd, SHUT_RDWR); });
  constexpr int kPatienceMs = 60'000;
  pollfd heard{channel->get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&heard, 1, kPatienceMs);
  } while (ready < 0 && errno == EINTR);
  std::vector<char> buffer(16 * 1024);
  process::Received received;
  received.size = 0;
  if (ready > 0) process::receive_message(channel->get(), buffer, received);
  if (received.size <= 0) {
    return fail(Code::kUnavailable,
                "the process that makes sandboxes ended before one "
                "was made",
                "sandbox");
  }
  auto greeting =
      decode_greeting({buffer.data(), static_cast<std::size_t>(received.size)});
  if (!greeting) return fail(Code::kInternal, "a room spoke nonsense", "sandbox");
  // What may be there again in a moment.
  const int error = greeting->error;
  if (greeting->stage == process::Reply::Stage::kNamespaces &&
      (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
       error == ECHILD)) {
    return process::os_error(Code::kUnavailable, "no sandbox", error);
  }
  if (greeting->stage != process::Reply::Stage::kNone) {
    return tl::unexpected<Error>(
        unavailable(greeting->stage, greeting->error, greeting->what));
  }
  return RoomLink{std::move(*channel), std::move(greeting->enforced)};
}

}  // namespace carrel::sandbox
