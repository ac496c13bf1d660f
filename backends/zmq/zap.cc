#include "zap.h"

#include <array>
#include <future>
#include <thread>
#include <vector>

#include "context.h"
#include "curve.h"
#include "threads.h"

namespace carrel::zmq {
namespace {

// Answers for as long as the process lives, as the context does.
class Handler {
 public:
  static Handler& get() {
    static auto* handler = new Handler;
    return *handler;
  }

  Result<void> start() {
    const std::lock_guard lock(mutex_);
    if (started_) return {};
    const auto made = context();
    if (!made) return tl::unexpected<Error>(made.error());
    try {
      ::zmq::socket_t socket(**made, ::zmq::socket_type::rep);
      socket.bind("inproc://zeromq.zap.01");
      named_thread("carrel-zmq-zap", [this, socket = std::move(socket)]() mutable {
        serve(socket);
      }).detach();
    } catch (const ::zmq::error_t& e) {
      return fail(
          Code::kExists,
          std::string("another part of this process answers ZAP requests: ") + e.what(),
          "zmq", e.num());
    }
    started_ = true;
    return {};
  }

  std::string add(std::shared_ptr<const Keys> keys) {
    const std::lock_guard lock(mutex_);
    std::string name = "carrel-" + std::to_string(++last_);
    domains_.emplace(name, std::move(keys));
    return name;
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    domains_.erase(name);
  }

 private:
  void serve(::zmq::socket_t& socket) {
    for (;;) {
      try {
        serve_one(socket);
      } catch (const ::zmq::error_t& e) {
        if (e.num() == ETERM) return;
      }
    }
  }

  // RFC 27: version, request id, domain, address, identity, mechanism, credentials.
  void serve_one(::zmq::socket_t& socket) {
    std::vector<std::string> request;
    ::zmq::message_t part;
    do {
      static_cast<void>(socket.recv(part));
      request.push_back(part.to_string());
    } while (part.more());
    std::string user;
    constexpr std::size_t kCurveParts = 7;
    if (request.size() == kCurveParts && request[5] == "CURVE") {
      const std::string key = to_hex(request[6]);
      const auto keys = find(request[2]);
      if (keys && keys->find(key)) user = key;
    }
    const std::array<std::string, 6> reply{
        "1.0",
        request.size() > 1 ? request[1] : "",
        user.empty() ? "400" : "200",
        user.empty() ? "the key is not among the broker's keys" : "",
        user,
        ""};
    for (std::size_t i = 0; i < reply.size(); ++i) {
      socket.send(::zmq::buffer(reply[i]), i + 1 < reply.size()
                                               ? ::zmq::send_flags::sndmore
                                               : ::zmq::send_flags::none);
    }
  }

  std::shared_ptr<const Keys> find(const std::string& domain) {
    const std::lock_guard lock(mutex_);
    const auto it = domains_.find(domain);
    return it == domains_.end() ? nullptr : it->second;
  }

  std::mutex mutex_;
  bool started_ = false;
  std::uint64_t last_ = 0;
  std::map<std::string, std::shared_ptr<const Keys>> domains_;
};

}  // namespace

Result<std::unique_ptr<ZapDomain>> ZapDomain::add(std::shared_ptr<const Keys> keys) {
  if (auto ok = Handler::get().start(); !ok) return tl::unexpected<Error>(ok.error());
  return std::unique_ptr<ZapDomain>(new ZapDomain(Handler::get().add(std::move(keys))));
}

ZapDomain::~ZapDomain() { Handler::get().remove(name_); }

}  // namespace carrel::zmq
