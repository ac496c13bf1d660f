// zmq_probe NAME [options]: prints one number. The broker is a process of its own, made
// before this one has threads; raw.* is libzmq alone, the limit of the others.
#include <carrel/memory.h>
#include <carrel/zmq.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <thread>
#include <zmq.hpp>

#include "client.h"
#include "curve.h"
#include "probes/probe.h"

namespace bench {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using carrel::zmq::Client;

constexpr std::size_t kPayload = 200;

struct Setup {
  Options options;
  std::string store = "memory:";
  bool curve = false;
};

// Runs `serve` in a child, which writes where it is to the descriptor, until this goes.
class Process {
 public:
  explicit Process(const std::function<void(int to)>& serve) {
    int address[2];
    int life[2];
    if (pipe(address) != 0 || pipe(life) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      close(life[1]);
      close(address[0]);
      serve(address[1]);
      char end = 0;
      while (read(life[0], &end, 1) > 0) {
      }
      _exit(0);
    }
    close(life[0]);
    close(address[1]);
    life_ = life[1];
    for (char c = 0; read(address[0], &c, 1) == 1 && c != '\n';) endpoint_.push_back(c);
    close(address[0]);
    if (endpoint_.empty()) throw std::runtime_error("the other process did not start");
  }
  ~Process() {
    close(life_);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  std::size_t resident_bytes() const {
    std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
    std::size_t pages = 0;
    statm >> pages >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  }
  double cpu_seconds() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string skip;
    for (int i = 0; i < 13; ++i) stat >> skip;
    double user = 0;
    double system = 0;
    stat >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }

 private:
  pid_t pid_ = -1;
  int life_ = -1;
  std::string endpoint_;
};

void tell(int to, const std::string& endpoint) {
  const std::string line = endpoint + "\n";
  static_cast<void>(!write(to, line.data(), line.size()));
  close(to);
}

// A broker in a child, with keys in the scratch folder if it is to use CURVE.
class Hosted {
 public:
  explicit Hosted(const Setup& setup)
      : folder_(std::filesystem::path(setup.options.scratch) / "zmq") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    carrel::zmq::BrokerOptions options;
    options.listen = {"tcp://127.0.0.1:*"};
    if (setup.curve) make_keys(options);
    process_ = std::make_unique<Process>([&](int to) {
      carrel::Registry registry = carrel::Registry::with_builtins();
      std::string text = setup.store;
      if (text == "sqlite:") text += (folder_ / "jobs.db").string();
      const auto url = must(carrel::Url::parse(text));
      auto store = must((*must(registry.store(url.scheme)))(url, {}));
      static auto broker = must(carrel::zmq::Broker::start(options, std::move(store)));
      tell(to, broker->endpoints().at(0));
    });
  }
  Process& process() { return *process_; }
  std::string url() const { return "zmq+" + process_->endpoint() + more_; }

 private:
  void make_keys(carrel::zmq::BrokerOptions& options) {
    const auto broker = must(carrel::zmq::new_keys());
    const auto client = must(carrel::zmq::new_keys());
    const auto write_secret = [&](const char* name, const carrel::zmq::KeyPair& keys) {
      const auto file = folder_ / name;
      std::ofstream(file) << "secret = \"" << keys.secret_key << "\"\n";
      chmod(file.c_str(), 0600);
      return file;
    };
    options.secret_file = write_secret("broker.key", broker);
    options.keys_file = folder_ / "keys.toml";
    std::ofstream(options.keys_file)
        << "[bench]\nrole = \"admin\"\nkey = \"" << client.public_key << "\"\n";
    more_ = "?server_key=" + broker.public_key +
            "&secret_file=" + write_secret("client.key", client).string();
  }

  std::filesystem::path folder_;
  std::string more_;
  std::unique_ptr<Process> process_;
};

carrel::Config config_of(const Hosted& hosted, std::size_t prefetch) {
  carrel::Config config;
  config.store = hosted.url();
  config.worker.concurrency = 2;
  config.worker.prefetch = prefetch;
  return config;
}

carrel::Engine engine_of(carrel::Config config) {
  carrel::Registry registry = carrel::Registry::with_builtins();
  carrel::register_zmq(registry);
  config.log.level = carrel::LogLevel::kError;
  return must(carrel::Engine::open(std::move(config), std::move(registry)));
}

const carrel::Json& payload() {
  static const carrel::Json json = std::string(kPayload - 2, 'x');
  return json;
}

// Jobs that wait already, drained by one worker process: jobs a second.
double drain(const Setup& setup) {
  Hosted hosted(setup);
  Countdown done(setup.options.jobs);
  carrel::Engine engine = engine_of(config_of(hosted, 510));
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  enqueue(engine, "noop", payload(), setup.options.jobs, setup.options.batch);
  const Stopwatch watch;
  must(engine.start());
  done.wait();
  const double took = watch.seconds();
  engine.stop(5s);
  return static_cast<double>(setup.options.jobs) / took;
}

// From the first enqueue to the last finish.
double cycle(const Setup& setup) {
  Hosted hosted(setup);
  Countdown done(setup.options.jobs);
  carrel::Engine engine = engine_of(config_of(hosted, setup.options.batch));
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.start());
  const Stopwatch watch;
  enqueue(engine, "noop", nullptr, setup.options.jobs, setup.options.batch);
  done.wait();
  const double took = watch.seconds();
  engine.stop(5s);
  return static_cast<double>(setup.options.jobs) / took;
}

std::unique_ptr<Client> connect(const std::string& url) {
  auto address = must(carrel::zmq::address_of(must(carrel::Url::parse(url))));
  return must(
      Client::connect(std::move(address), [](carrel::LogLevel, std::string_view) {}));
}

// One job a request, and so many requests under way: jobs a second.
double enqueue_window(const Setup& setup) {
  Hosted hosted(setup);
  const auto client = connect(hosted.url());
  carrel::zmq::Enqueue message;
  carrel::NewJob& job = message.jobs.emplace_back();
  job.kind = "noop";
  job.payload = std::string(kPayload, 'x');
  message.deadline = 10s;
  const std::string frame = encode(message);
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t under_way = 0;
  const Stopwatch watch;
  for (std::size_t i = 0; i < setup.options.jobs; ++i) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return under_way < setup.options.batch; });
      ++under_way;
    }
    client->send(frame, 10s, carrel::zmq::Repeat::kNo,
                 [&](const carrel::Result<std::string>& answer) {
                   if (!answer) std::abort();
                   const std::lock_guard lock(mutex);
                   if (under_way-- == setup.options.batch || under_way == 0) {
                     changed.notify_one();
                   }
                 });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return under_way == 0; });
  return static_cast<double>(setup.options.jobs) / watch.seconds();
}

// p50 in microseconds from before an enqueue to the handler, idle.
double latency(const Setup& setup) {
  Hosted hosted(setup);
  std::atomic<SteadyClock::time_point> sent;
  std::vector<double> took;
  Countdown done(setup.options.jobs);
  carrel::Engine engine = engine_of(config_of(hosted, 0));
  must(engine.handle("stamp", [&](carrel::Context&) {
    took.push_back(
        std::chrono::duration<double, std::micro>(SteadyClock::now() - sent.load())
            .count());
  }));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.start());
  for (std::size_t left = setup.options.jobs; left > 0; --left) {
    std::this_thread::sleep_for(setup.options.gap);
    sent = SteadyClock::now();
    must(engine.enqueue("stamp"));
    done.wait_below(left);
  }
  engine.stop(5s);
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return took[took.size() / 2];
}

// Bytes of the broker a waiting job.
double memory(const Setup& setup) {
  Hosted hosted(setup);
  carrel::Engine engine = engine_of(config_of(hosted, 0));
  enqueue(engine, "noop", payload(), 1'000, 100);
  const std::size_t before = hosted.process().resident_bytes();
  enqueue(engine, "noop", payload(), setup.options.jobs, 100);
  const std::size_t after = hosted.process().resident_bytes();
  return static_cast<double>(after - before) / static_cast<double>(setup.options.jobs);
}

// Percent of a core that the broker takes for so many connected workers that wait.
double idle(const Setup& setup) {
  Hosted hosted(setup);
  ::zmq::context_t context(1, 4'096);
  std::vector<::zmq::socket_t> workers;
  for (std::size_t i = 0; i < setup.options.jobs; ++i) {
    ::zmq::socket_t& socket = workers.emplace_back(context, ::zmq::socket_type::dealer);
    socket.set(::zmq::sockopt::linger, 0);
    socket.connect(hosted.process().endpoint());
    carrel::zmq::Hello hello;
    hello.client = "idle-" + std::to_string(i);
    hello.heartbeat = 10s;
    std::string frame = encode(hello);
    carrel::zmq::stamp(frame, 1, 0);
    socket.send(::zmq::buffer(frame));
    ::zmq::message_t welcome;
    static_cast<void>(socket.recv(welcome));
  }
  const auto say = [&](const std::string& message, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      ::zmq::message_t answer;
      std::uint64_t none = 0;
      while (workers[i].recv(answer, ::zmq::recv_flags::dontwait)) ++none;
      std::string frame = message;
      carrel::zmq::stamp(frame, 2, 1);
      workers[i].send(::zmq::buffer(frame));
    }
  };
  carrel::zmq::Take take;
  take.kinds = {"noop"};
  take.max = 1;
  take.claim_number = 1;
  take.worker = "idle";
  take.lease = 30s;
  take.wait = 60s;
  say(encode(take), 0, workers.size());
  std::this_thread::sleep_for(1s);
  // A heartbeat each, spread over ten seconds as those of workers are.
  carrel::zmq::Heartbeat beat;
  beat.next = 10s;
  const double before = hosted.process().cpu_seconds();
  const Stopwatch watch;
  constexpr std::size_t kSlices = 100;
  for (std::size_t i = 0; i < kSlices; ++i) {
    say(encode(beat), workers.size() * i / kSlices, workers.size() * (i + 1) / kSlices);
    std::this_thread::sleep_for(100ms);
  }
  return 100 * (hosted.process().cpu_seconds() - before) / watch.seconds();
}

// libzmq alone: a ROUTER that sends each message back, or only the last.
void route(int to, bool echo, std::size_t messages) {
  ::zmq::context_t context(1);
  ::zmq::socket_t router(context, ::zmq::socket_type::router);
  router.bind("tcp://127.0.0.1:*");
  tell(to, router.get(::zmq::sockopt::last_endpoint));
  for (std::size_t i = 0; i < messages; ++i) {
    ::zmq::message_t id;
    ::zmq::message_t body;
    static_cast<void>(router.recv(id));
    static_cast<void>(router.recv(body));
    if (!echo && i + 1 < messages) continue;
    router.send(id, ::zmq::send_flags::sndmore);
    router.send(body, ::zmq::send_flags::none);
  }
  router.set(::zmq::sockopt::linger, 1'000);
}

double raw_messages(const Setup& setup) {
  Process other([&](int to) { route(to, false, setup.options.jobs); });
  ::zmq::context_t context(1);
  ::zmq::socket_t dealer(context, ::zmq::socket_type::dealer);
  dealer.connect(other.endpoint());
  const std::string body(kPayload, 'x');
  const Stopwatch watch;
  for (std::size_t i = 0; i < setup.options.jobs; ++i) dealer.send(::zmq::buffer(body));
  ::zmq::message_t last;
  static_cast<void>(dealer.recv(last));
  return static_cast<double>(setup.options.jobs) / watch.seconds();
}

double raw_round_trip(const Setup& setup) {
  Process other([&](int to) { route(to, true, setup.options.jobs); });
  ::zmq::context_t context(1);
  ::zmq::socket_t dealer(context, ::zmq::socket_type::dealer);
  dealer.connect(other.endpoint());
  const std::string body(kPayload, 'x');
  std::vector<double> took;
  for (std::size_t i = 0; i < setup.options.jobs; ++i) {
    std::this_thread::sleep_for(setup.options.gap);
    const Stopwatch watch;
    dealer.send(::zmq::buffer(body));
    ::zmq::message_t back;
    static_cast<void>(dealer.recv(back));
    took.push_back(watch.seconds() * 1e6);
  }
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return took[took.size() / 2];
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::map<std::string, double (*)(const Setup&)> probes{
      {"drain", drain},
      {"cycle", cycle},
      {"enqueue", enqueue_window},
      {"latency", latency},
      {"memory", memory},
      {"idle", idle},
      {"raw.messages", raw_messages},
      {"raw.round_trip", raw_round_trip}};
  CLI::App app("Measures one side of a figure of the ZeroMQ backend.", "zmq_probe");
  Setup setup;
  std::string name;
  std::size_t gap_us = 0;
  app.add_option("name", name)->required()->check(CLI::IsMember(probes));
  app.add_option("--jobs", setup.options.jobs);
  app.add_option("--batch", setup.options.batch, "rows of a call, or the window");
  app.add_option("--gap-us", gap_us);
  app.add_option("--scratch", setup.options.scratch)->required();
  app.add_option("--store", setup.store, "memory: or sqlite:");
  app.add_flag("--curve", setup.curve);
  CLI11_PARSE(app, argc, argv);
  setup.options.gap = std::chrono::microseconds(gap_us);
  try {
    std::printf("%.6g\n", probes.at(name)(setup));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
    return 1;
  }
}
