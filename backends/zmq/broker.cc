#include <carrel/config.h>
#include <carrel/zmq.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <future>
#include <limits>
#include <string_view>
#include <thread>

#include "context.h"
#include "curve.h"
#include "ipc_lock.h"
#include "keys.h"
#include "loop.h"
#include "threads.h"
#include "zap.h"

namespace carrel::zmq {
namespace {

constexpr int kHandshakeMs = 2'000;
constexpr int kSendHwm = 8'192;
constexpr int kReceiveHwm = 16;  // frames of a connection that nobody has looked at
// A peer whose host or net went away without a word is asked whether it is there: its
// connection would stay, and its descriptor, for ever.
constexpr int kKeepaliveIdleS = 60;
constexpr int kKeepaliveS = 15;  // between the questions
constexpr int kKeepalives = 4;

bool is_local(const std::string& endpoint) {
  for (const char* prefix : {"ipc://", "inproc://", "tcp://127.",
                             "tcp://[::1]:", "tcp://localhost:", "tcp://lo:"}) {
    if (endpoint.starts_with(prefix)) return true;
  }
  return false;
}

// libzmq takes the low bits of a port that is none.
bool has_port(std::string_view address) {
  const std::string_view port = address.substr(address.rfind(':') + 1);
  unsigned number = 0;
  const auto [stop, error] =
      std::from_chars(port.data(), port.data() + port.size(), number);
  return port == "*" || (error == std::errc{} && stop == port.data() + port.size() &&
                         number <= std::numeric_limits<std::uint16_t>::max());
}

Result<void> check_address(const std::string& endpoint) {
  constexpr std::string_view kTcp = "tcp://";
  std::string expected;
  if (endpoint.starts_with(kTcp)) {
    if (has_port(std::string_view(endpoint).substr(kTcp.size()))) return {};
    expected = "a port, such as \"tcp://127.0.0.1:5555\"; * is any that is free";
  } else {
    if (endpoint.starts_with("ipc://") || endpoint.starts_with("inproc://")) return {};
    expected = "\"tcp://ADDRESS:PORT\" or \"ipc://PATH\"";
  }
  return fail(Code::kInvalid, "cannot listen on " + endpoint + ": expected " + expected,
              "zmq");
}

Result<void> check(const BrokerOptions& options) {
  const auto bad = [](std::string why) {
    return fail(Code::kInvalid, std::move(why), "zmq");
  };
  if (options.listen.empty()) return bad("a broker needs an address to listen on");
  for (const std::string& endpoint : options.listen) {
    if (auto ok = check_address(endpoint); !ok) return ok;
  }
  if (options.poll < options.kShortestPoll || options.poll > options.kLongestPoll) {
    return bad("poll: expected " + to_text(options.kShortestPoll) + " to " +
               to_text(options.kLongestPoll) + ", got " + to_text(options.poll));
  }
  if (options.max_in_flight < options.max_frame) {
    return bad("limits.max_in_flight: " + std::to_string(options.max_in_flight) +
               " is less than limits.max_frame, " + std::to_string(options.max_frame) +
               ": a request of that length would never be taken");
  }
  if (options.secret_file.empty() != options.keys_file.empty()) {
    return bad("a broker's secret_file and keys_file belong together");
  }
  if (!options.secret_file.empty()) return {};
  for (const std::string& endpoint : options.listen) {
    if (!is_local(endpoint)) {
      return bad(endpoint +
                 " can be reached from other machines: set secret_file and keys_file "
                 "(\"carrel keys new\" makes keys), or listen on 127.0.0.1 or ipc://");
    }
  }
  return {};
}

void set_up(::zmq::socket_t& router, const BrokerOptions& options) {
  using namespace ::zmq;
  router.set(sockopt::router_mandatory, true);
  router.set(sockopt::linger, 0);
  router.set(sockopt::sndhwm, kSendHwm);
  router.set(sockopt::rcvhwm, kReceiveHwm);
  router.set(sockopt::maxmsgsize, static_cast<std::int64_t>(options.max_frame));
  router.set(sockopt::handshake_ivl, kHandshakeMs);
  router.set(sockopt::backlog, 1'024);
  router.set(sockopt::tcp_keepalive, 1);
  router.set(sockopt::tcp_keepalive_idle, kKeepaliveIdleS);
  router.set(sockopt::tcp_keepalive_intvl, kKeepaliveS);
  router.set(sockopt::tcp_keepalive_cnt, kKeepalives);
}

}  // namespace

class Broker::Impl {
 public:
  Result<void> start(BrokerOptions options, std::unique_ptr<Store> store) {
    if (auto ok = check(options); !ok) return ok;
    options_ = std::move(options);
    store_ = std::move(store);
    const auto made = context();
    if (!made) return tl::unexpected<Error>(made.error());
    ::zmq::socket_t router(**made, ::zmq::socket_type::router);
    set_up(router, options_);
    if (auto ok = secure(router); !ok) return ok;
    if (auto ok = bind(router); !ok) return ok;
    options_.listen = endpoints_;  // with the ports that they have got
    loop_ = std::make_unique<Loop>(options_, std::move(router), keys_, store_.get());
    thread_ = named_thread("carrel-broker", [this] { loop_->run(); });
    return {};
  }

  ~Impl() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
  }

  const std::vector<std::string>& endpoints() const noexcept { return endpoints_; }

  BrokerHealth health() const {
    BrokerHealth health;
    on_loop([&] { health = loop_->health(); });
    return health;
  }

  Result<void> reload_keys() {
    if (!keys_) return {};
    if (auto ok = keys_->load(options_.keys_file); !ok) return ok;
    on_loop([&] { loop_->check_keys(); });
    return {};
  }

 private:
  void on_loop(const std::function<void()>& command) const {
    // Shared: who waits may be gone before set_value() returns.
    const auto done = std::make_shared<std::promise<void>>();
    loop_->post([&command, done] {
      command();
      done->set_value();
    });
    done->get_future().wait();
  }
  Result<void> secure(::zmq::socket_t& router) {
    if (options_.secret_file.empty()) return {};
    const auto own = read_secret(options_.secret_file);
    if (!own) return tl::unexpected<Error>(own.error());
    keys_ = std::make_shared<Keys>();
    if (auto ok = keys_->load(options_.keys_file); !ok) return ok;
    auto domain = ZapDomain::add(keys_);
    if (!domain) return tl::unexpected<Error>(domain.error());
    domain_ = std::move(*domain);
    router.set(::zmq::sockopt::curve_server, true);
    router.set(::zmq::sockopt::curve_secretkey, from_hex(own->secret_key));
    router.set(::zmq::sockopt::zap_domain, domain_->name());
    return {};
  }

  Result<void> bind(::zmq::socket_t& router) {
    for (const std::string& endpoint : options_.listen) {
      auto lock = IpcLock::take(endpoint);
      if (!lock) return tl::unexpected<Error>(std::move(lock.error()));
      locks_.push_back(std::move(*lock));
      try {
        router.bind(endpoint);
      } catch (const ::zmq::error_t& e) {
        return fail(e.num() == EADDRINUSE ? Code::kExists : Code::kInvalid,
                    "cannot listen on " + endpoint + ": " + e.what(), "zmq", e.num());
      }
      endpoints_.push_back(router.get(::zmq::sockopt::last_endpoint));
    }
    return {};
  }

  BrokerOptions options_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Keys> keys_;
  std::unique_ptr<ZapDomain> domain_;
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<IpcLock>> locks_;  // outlive the socket
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

Broker::Broker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Broker::~Broker() = default;

Result<std::unique_ptr<Broker>> Broker::start(BrokerOptions options,
                                              std::unique_ptr<Store> store) {
  if (store && !store->claim_source()) {
    return fail(Code::kUnsupported, "a broker hosts only a store that is its own queue",
                "zmq");
  }
  auto impl = std::make_unique<Impl>();
  try {
    if (auto ok = impl->start(std::move(options), std::move(store)); !ok) {
      return tl::unexpected<Error>(ok.error());
    }
  } catch (const ::zmq::error_t& e) {
    return fail(Code::kInternal, std::string("a broker's socket: ") + e.what(), "zmq",
                e.num());
  } catch (const std::exception& e) {  // no descriptor, no thread
    return fail(Code::kUnavailable, std::string("a broker cannot begin: ") + e.what(),
                "zmq");
  }
  return std::unique_ptr<Broker>(new Broker(std::move(impl)));
}

const std::vector<std::string>& Broker::endpoints() const noexcept {
  return impl_->endpoints();
}
BrokerHealth Broker::health() const { return impl_->health(); }
Result<void> Broker::reload_keys() { return impl_->reload_keys(); }

}  // namespace carrel::zmq
