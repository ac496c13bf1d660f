#include <carrel/zmq.h>

#include "remote_queue.h"
#include "remote_store.h"

namespace carrel {
namespace {

// Tickets only tell sooner what the store knows: no start waits long for them.
constexpr Duration kQueuePatience = std::chrono::seconds(1);

Result<std::unique_ptr<zmq::Client>> connect(const Url& url,
                                             const BackendOptions& options) {
  auto address = zmq::address_of(url);
  if (!address) return tl::unexpected<Error>(std::move(address.error()));
  return zmq::Client::connect(std::move(*address), options.log);
}

Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options) {
  if (!options.queue_limits.empty()) {
    return fail(Code::kInvalid,
                "queues." + options.queue_limits.begin()->first + ".limit: \"" +
                    url.redacted() +
                    "\" is a broker, which holds the limits of its own configuration: "
                    "say it there",
                "zmq");
  }
  auto client = connect(url, options);
  if (!client) return tl::unexpected<Error>(std::move(client.error()));
  if (!(*client)->welcome().hosts_store) {
    return fail(Code::kInvalid,
                "\"" + url.redacted() +
                    "\": this broker carries tickets only: name a shared SQL store as "
                    "`store`, and this one as `queue`",
                "zmq");
  }
  return std::make_unique<zmq::RemoteStore>(std::move(*client), options.log);
}

Result<std::unique_ptr<Queue>> open_queue(const Url& url, const BackendOptions& options) {
  auto address = zmq::address_of(url);
  if (!address) return tl::unexpected<Error>(std::move(address.error()));
  auto client =
      zmq::Client::connect_in_time(std::move(*address), options.log, kQueuePatience);
  if (!client) return tl::unexpected<Error>(std::move(client.error()));
  return std::make_unique<zmq::RemoteQueue>(std::move(*client), options.log);
}

}  // namespace

void register_zmq(Registry& registry) {
  for (const char* scheme : {"zmq+tcp", "zmq+ipc", "zmq+inproc"}) {
    registry.add_store(scheme, open_store);
    registry.add_queue(scheme, open_queue);
  }
}

}  // namespace carrel
