// carrel-broker: what `carrel broker` and `carrel keys` run. A program of its own, so
// that the carrel command does not carry ZeroMQ.
//
//   carrel-broker serve --config FILE     until SIGTERM or SIGINT; SIGHUP reloads the
//   keys carrel-broker keys NAME [--role producer|worker|admin|broker]
#include <carrel/config.h>
#include <fcntl.h>
#include <poll.h>
#include <standard_streams.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <mutex>

#include "accept.h"
#include "config.h"
#include "curve.h"
#include "notify.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

enum Exit : int { kOk = 0, kUsage = 2, kAway = 4 };
constexpr auto kHealthLine = 60s;

int complain(const Error& error) {
  std::fprintf(stderr, "carrel-broker: %s\n", error.message.c_str());
  return error.code == Code::kUnavailable ? kAway : kUsage;
}

// An answer that a full disk swallowed is none.
bool is_printed() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

LogFn logger(LogLevel least) {
  return [least, mutex = std::make_shared<std::mutex>()](LogLevel level,
                                                         std::string_view text) {
    constexpr const char* kNames[] = {"debug", "info", "warning", "error", ""};
    if (level < least || level >= LogLevel::kOff) return;
    const std::lock_guard lock(*mutex);
    std::fprintf(stderr, "%s: %.*s\n", kNames[static_cast<std::size_t>(level)],
                 static_cast<int>(text.size()), text.data());
  };
}

std::string line_of(const BrokerHealth& h) {
  return std::to_string(h.sessions) + " clients, " + std::to_string(h.waiting) +
         " waiting, " + std::to_string(h.in_flight) + " in flight, " +
         std::to_string(h.requests) + " requests, " + std::to_string(h.busy) + " busy, " +
         std::to_string(h.malformed) + " malformed, " + std::to_string(h.refused) +
         " refused, " + std::to_string(h.dropped) + " dropped";
}

// Blocked in every thread, and read from here.
class Signals {
 public:
  Signals() {
    sigset_t all;
    sigemptyset(&all);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&all, signal);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    fd_ = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() { close(fd_); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // The next signal; 0: none until then.
  int wait_until(Clock::time_point until) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd item{fd_, POLLIN, 0};
    if (::poll(&item, 1, static_cast<int>(std::max<long>(0, left.count()))) <= 0)
      return 0;
    signalfd_siginfo info{};
    return read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                        : 0;
  }

 private:
  int fd_ = -1;
};

Result<std::unique_ptr<Store>> open_store(const BrokerConfig& config) {
  if (config.store.empty()) return nullptr;
  static Registry registry = Registry::with_builtins();
  const auto url = Url::parse(config.store);
  if (!url) return tl::unexpected<Error>(url.error());
  const auto make = registry.store(url->scheme);
  if (!make) return tl::unexpected<Error>(make.error());
  BackendOptions options;
  options.retention = config.retention;
  options.queue_limits = config.queue_limits;
  options.poll = config.broker.poll;
  options.log = config.broker.log;
  auto store = (**make)(*url, options);
  if (store && !config.queue_limits.empty() && !(*store)->traits().queue_limits) {
    return fail(Code::kUnsupported,
                "queues." + config.queue_limits.begin()->first +
                    ".limit: this store holds no limits of queues",
                "config");
  }
  return store;
}

// A connection takes a descriptor, and a session of a login or a service has a soft limit
// of 1,024 of them, for the sake of programs that use select().
void make_room(std::size_t clients, const LogFn& log) {
  constexpr rlim_t kOwn = 256;  // the store's, threads', files'
  const rlim_t wanted = clients + kOwn;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
  files.rlim_cur = std::min(wanted, files.rlim_max);
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur >= wanted) return;
  log(LogLevel::kWarn, "limits.max_sessions: " + std::to_string(clients) +
                           " clients need more descriptors than the " +
                           std::to_string(files.rlim_cur) +
                           " that this process may have (ulimit -n, LimitNOFILE=)");
}

void reload(Broker& broker, const Notify& notify, const LogFn& log) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  notify.say("RELOADING=1\nMONOTONIC_USEC=" +
             std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1'000));
  if (auto ok = broker.reload_keys(); ok) {
    log(LogLevel::kInfo, "the keys were read again");
  } else {
    log(LogLevel::kError, "the keys stay as they were: " + ok.error().message);
  }
  notify.say("READY=1");
}

int serve(const std::string& file) {
  auto config = load_config(file);
  if (!config) return complain(config.error());
  const LogFn log = logger(config->log_level);
  config->broker.log = log;
  const Signals signals;  // before there is any thread
  const Notify notify;
  make_room(config->broker.max_sessions, log);
  refuse_what_has_no_descriptor();
  auto store = open_store(*config);
  if (!store) return complain(store.error());
  auto broker = Broker::start(config->broker, std::move(*store));
  if (!broker) return complain(broker.error());
  std::string addresses;
  for (const std::string& endpoint : (*broker)->endpoints()) {
    addresses += (addresses.empty() ? "" : " ") + endpoint;
  }
  log(LogLevel::kInfo, "listening on " + addresses);
  notify.say("READY=1\nSTATUS=listening on " + addresses);

  const auto pause = std::min<Clock::duration>(
      kHealthLine, notify.watchdog().value_or(std::chrono::hours(1)) / 2);
  auto next_line = Clock::now() + kHealthLine;
  for (;;) {
    const int signal = signals.wait_until(Clock::now() + pause);
    if (signal == SIGTERM || signal == SIGINT) break;
    if (signal == SIGHUP) reload(**broker, notify, log);
    const BrokerHealth health = (*broker)->health();  // the loop is alive
    notify.say("WATCHDOG=1\nSTATUS=" + line_of(health));
    if (Clock::now() < next_line) continue;
    next_line = Clock::now() + kHealthLine;
    log(LogLevel::kInfo, line_of(health));
  }
  notify.say("STOPPING=1\nSTATUS=answering what is in flight");
  log(LogLevel::kInfo, "stopping");
  broker->reset();
  return kOk;
}

// Writes NAME.key, and prints what the broker's list of keys is to hold.
int make_keys(const std::string& name, const std::string& role, bool json) {
  const auto keys = new_keys();
  if (!keys) return complain(keys.error());
  const std::string file = name + ".key";
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const std::string text = "# The secret key of \"" + name +
                           "\". Public: " + keys->public_key + "\nsecret = \"" +
                           keys->secret_key + "\"\n";
  const bool written =
      fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const std::error_code error(errno, std::generic_category());
  if (fd >= 0) close(fd);
  if (!written) {
    if (fd >= 0) unlink(file.c_str());
    return complain({Code::kInvalid, file + ": " + error.message(), "keys"});
  }
  if (json) {
    // None of these has a character that JSON escapes.
    std::printf(
        "{\"key\":\"%s\",\"name\":\"%s\",\"role\":\"%s\",\"secret_file\":\"%s\"}\n",
        keys->public_key.c_str(), name.c_str(), role.c_str(), file.c_str());
  } else if (role == "broker") {
    std::printf("# The broker: secret_file = \"%s\". Its clients: server_key=%s\n",
                file.c_str(), keys->public_key.c_str());
  } else {
    std::printf("[%s]\nkey = \"%s\"\nrole = \"%s\"\n", name.c_str(),
                keys->public_key.c_str(), role.c_str());
  }
  // Nobody was told of this key: the next try may make one of that name.
  if (!is_printed()) unlink(file.c_str());
  return kOk;
}

int run(int argc, char** argv) {
  CLI::App app("The broker of carrel's ZeroMQ backend", "carrel-broker");
  app.require_subcommand(1);
  std::string config;
  std::string name;
  std::string role = "worker";
  bool json = false;
  auto* serving = app.add_subcommand("serve", "Serve until SIGTERM; SIGHUP reloads keys");
  serving->add_option("-c,--config", config, "The broker's file")->required();
  auto* keys = app.add_subcommand("keys", "Make a key");
  keys->add_option("name", name, "Whose it is; the secret goes into NAME.key")
      ->required()
      ->check([](const std::string& text) {
        constexpr const char* kPlain =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        return !text.empty() && text.find_first_not_of(kPlain) == std::string::npos
                   ? std::string()
                   : std::string("a name has letters, digits, - and _ only");
      });
  keys->add_option("--role", role, "producer, worker, admin; or broker: its own key")
      ->check(CLI::IsMember({"producer", "worker", "admin", "broker"}));
  keys->add_flag("--json", json, "Print JSON, not an entry of the broker's list");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::Error& e) {
    std::fprintf(stderr, "carrel-broker: %s\n", e.what());
    return kUsage;
  }
  return *serving ? serve(config) : make_keys(name, role, json);
}

}  // namespace
}  // namespace carrel::zmq

int main(int argc, char** argv) {
  carrel::open_standard_streams();
  // A file that may not grow is an error as a full disk is, and no reason to die; nor is
  // one whose reader has gone, as of the log.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const int code = carrel::zmq::run(argc, argv);
    if (carrel::zmq::is_printed()) return code;
    std::fprintf(stderr, "carrel-broker: cannot write to standard output\n");
    return carrel::zmq::kAway;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "carrel-broker: %s\n", e.what());
    return 4;
  }
}
